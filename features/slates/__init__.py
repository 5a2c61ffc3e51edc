"""Slates in the log: which rows are the slots of one slate, and in which order."""
