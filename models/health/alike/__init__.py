"""Expectations that compare like with like: hours by the arms that were on offer."""
