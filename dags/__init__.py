"""croupier: dags."""
