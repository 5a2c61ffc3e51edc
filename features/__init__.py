"""croupier: features."""
