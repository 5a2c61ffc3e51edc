"""Publish, watch, promote and roll back."""
