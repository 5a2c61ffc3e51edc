"""How far a reward reaches: which decisions it may belong to, and until when it counts. Plain numbers, for those who
serve: columns are in features/interactions/reward.py."""

from croupier.features.utc import HOUR

CLOCK_SKEW_US = HOUR  # a reward may be stamped this much before its decision
LOOKBACK_US = 30 * 24 * HOUR  # and this much after it; the longest reward window


def in_reach(at: int, decided_at: int) -> bool:
    """Whether a reward stamped `at` may belong to a decision made at `decided_at` (UTC µs)."""
    return -CLOCK_SKEW_US <= at - decided_at <= LOOKBACK_US


def on_time(at: int, decided_at: int, window: int) -> bool:
    """Whether a reward stamped `at` counts for a decision made at `decided_at`, whose window is `window` µs long."""
    return in_reach(at, decided_at) and at <= decided_at + window
