"""How calls and answers travel."""
