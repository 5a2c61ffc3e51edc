"""Budgets on the world of patches: what learning to spend tokens is worth."""
