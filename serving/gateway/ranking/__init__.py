"""Personalizer's questions and answers: what a rank asks, how it is read, and what it is told."""
