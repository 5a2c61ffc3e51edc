"""How a release explores: what is mixed into a policy's pmf, and the candidate that part of it is spent on."""
