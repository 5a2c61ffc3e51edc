"""The network under neural-linear: how it is trained, by torch, and how it serves, as numbers."""
