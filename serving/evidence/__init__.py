"""What matured decisions say of a rollout's candidate."""
