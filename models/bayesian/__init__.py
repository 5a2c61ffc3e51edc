"""Policies with a Bayesian linear head: on features as they are, or on a network's."""
