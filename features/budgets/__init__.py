"""Budgets: costs as whole cells under a total, and random allocations within it. Numpy alone: clients have them."""
