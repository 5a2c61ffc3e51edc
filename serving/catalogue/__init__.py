"""Which arms a running app has: those of its catalogue, new ones, and those that have left."""
