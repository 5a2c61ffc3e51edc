"""`make demo`: the whole loop on real and on simulated users."""
