"""What an encoder is fitted on, gathered from parts of a log: the memory of one part, whatever the log's length."""
