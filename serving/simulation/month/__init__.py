"""`croupier simulate loop`: a virtual month of the whole loop."""
