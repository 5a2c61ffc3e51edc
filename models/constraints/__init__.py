"""Constraints on what a policy may choose: hard ones of a decision, and long-run ones with a price."""
