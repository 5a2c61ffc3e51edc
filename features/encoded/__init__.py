"""Encoded features of a log as they are kept: the rows, and what lies beside them, written part by part."""
