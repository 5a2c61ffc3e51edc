"""Which policy, and which parameters of it, an app's own log prefers: before anything meets the gate."""
