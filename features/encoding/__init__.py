"""Declared features to arrays: validated, fitted once, the same offline and in the server."""
