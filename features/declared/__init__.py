"""What is said of an app.toml that cannot be used (refusals.py); features/spec.py says what one may hold."""
