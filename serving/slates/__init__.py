"""Slates decided where the policy is: scored once for all slots, and put on record together."""
