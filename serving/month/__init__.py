"""croupier: serving.month."""
