"""Shortlists of many arms: the nearest by an index, and a random part of known probability."""
