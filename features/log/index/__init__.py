"""What lies beside the shipped log so that nobody has to read all of it: receipts, and which hour an event is of."""
