"""From the rewards of an event to one number: the columns a RewardSpec asks for, as Polars expressions.

reward = Σ_kinds weight · clip(how(values of that kind)), `default` when no counted kind came within the window.

A reward belongs to a decision from CLOCK_SKEW_US before it (clocks differ) to LOOKBACK_US after it, both included, to
the microsecond. It counts until the reward window ends, that moment included; a later one is late and never moves the
reward. `in_reach` and `on_time` are that rule for one reward, `in_reach_columns` the first for columns.
"""

import polars as pl

from features.partitions import HOUR
from features.spec import KindSpec, RewardSpec

CLOCK_SKEW_US = HOUR  # a reward may be stamped this much before its decision
LOOKBACK_US = 30 * 24 * HOUR  # and this much after it; the longest reward window

# Ties in time are broken by content, so the result does not depend on the order of arrival.
ORDER = ("event_id", "at", "kind", "value", "reward_id")


def window_us(spec: RewardSpec) -> int:
    """The length of the reward window in microseconds."""
    return round(spec.window_seconds * 1e6)


def in_reach(at: int, decided_at: int) -> bool:
    """Whether a reward stamped `at` may belong to a decision made at `decided_at` (UTC µs)."""
    return -CLOCK_SKEW_US <= at - decided_at <= LOOKBACK_US


def on_time(at: int, decided_at: int, window: int) -> bool:
    """Whether a reward stamped `at` counts for a decision made at `decided_at`, whose window is `window` µs long."""
    return in_reach(at, decided_at) and at <= decided_at + window


def in_reach_columns() -> pl.Expr:
    """`in_reach` of the columns `at` and `decided_at`."""
    return (pl.col("at") - pl.col("decided_at")).is_between(-CLOCK_SKEW_US, LOOKBACK_US)


def to_number(on_time: pl.DataFrame, spec: RewardSpec) -> pl.DataFrame:
    """Rewards (event_id, at, kind, value), distinct, inside their window and sorted by ORDER → one row an event:
    event_id, reward, reward_count, reward_at (UTC µs of the last one). Kinds outside the spec do not count."""
    counted = on_time.filter(pl.col("kind").is_in(list(spec.kinds)))
    parts = [_part(name, kind) for name, kind in spec.kinds.items()]
    return counted.group_by("event_id", maintain_order=True).agg(
        pl.sum_horizontal(parts, ignore_nulls=True).alias("reward") if parts else pl.lit(spec.default).alias("reward"),
        pl.len().cast(pl.Int64).alias("reward_count"),
        pl.col("at").max().alias("reward_at"),
    )


def _part(name: str, kind: KindSpec) -> pl.Expr:
    values = pl.col("value").filter(pl.col("kind") == name)
    one = {"first": values.first(), "last": values.last(), "max": values.max(),
           "sum": pl.when(values.len() > 0).then(values.sum())}[kind.how]  # fmt: skip
    clipped = one if kind.clip is None else one.clip(*kind.clip)
    return clipped * kind.weight
