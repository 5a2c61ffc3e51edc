"""Arms that are prices: what a catalogue and a request must say of them."""
