"""Lower bounds of a lift: what the gate holds against its margin."""
