"""Thin Triton models and the finder of the server."""
