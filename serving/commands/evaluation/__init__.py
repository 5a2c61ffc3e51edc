"""Commands that judge: the gate, its plan, and off-policy evaluation of any log."""
