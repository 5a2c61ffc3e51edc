"""Rules, limits and long-run constraints of an app: what was understood of them, and how they stand."""
