"""Rollouts on days that have hours: season, activity, novelty, and rewards that come late."""
