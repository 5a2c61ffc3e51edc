"""How often health is wrong, and how soon it finds what is planted, beside published rules on the same hours."""
