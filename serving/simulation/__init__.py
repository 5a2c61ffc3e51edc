"""How often the rollout errs, and a virtual month of the whole loop."""
