"""Interactions of many hours as a stream of parts, in order: what is encoded never stands in memory whole."""
