"""What is watched, one family a file: each gives signals, whose detector is models/health/detector.py."""
