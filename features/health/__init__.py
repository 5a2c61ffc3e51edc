"""Hourly figures of an app: one small JSON an hour, made from the joined hour once a version; they add over hours."""
