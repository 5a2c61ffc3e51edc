"""The join of hours, spread over an engine."""
