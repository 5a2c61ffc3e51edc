"""Promote only what is shown to be better: from evidence to a verdict and its page."""
