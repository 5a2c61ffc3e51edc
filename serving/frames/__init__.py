"""Logs and policies' values as tables: what `croupier ope` and `croupier.frames` have in common."""
