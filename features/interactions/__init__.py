"""Decisions joined with their rewards: hour by hour, in versions, with an account of every event."""
