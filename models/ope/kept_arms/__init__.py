"""Logs whose units keep their arm, as in an A/B test: which of their rows are draws, and which may judge."""
