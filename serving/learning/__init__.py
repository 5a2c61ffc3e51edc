"""The fast loop: rewards update the heads at once."""
