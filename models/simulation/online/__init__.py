"""Learners that are simulated online: one policy, and the portfolio that `auto` narrows down to one."""
