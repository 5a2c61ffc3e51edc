"""The gate on slates, in a cascade world of known truth: how often it errs."""
