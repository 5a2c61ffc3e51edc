"""`croupier simulate …`: one file a simulator."""
