"""croupier: models."""
