"""The loop as metrics: an exporter for Prometheus, rules of alarms, and a dashboard."""
