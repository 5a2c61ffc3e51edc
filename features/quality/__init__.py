"""Is the log sound? Rules, findings, the propensity audit, drift, and the pages that show them."""
