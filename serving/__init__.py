"""croupier: serving."""
