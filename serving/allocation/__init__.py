"""Requests to allocate, served: checked, elected by a role's policy, drawn, on record, answered; and derived anew."""
