"""What a host and its store say of themselves now: the log, the disk, hours that are due, what serves."""
