"""The durable log of one host, and its way into the store."""
