"""Worlds: logs to learn from, real (obd) and of known truth (reels)."""
