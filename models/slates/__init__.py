"""Slates: k of K arms at a time, in order; their exact propensities, and what another policy would have earned."""
