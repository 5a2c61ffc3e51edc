"""Off-policy evaluation: estimators, intervals, and whether the log can be believed."""
