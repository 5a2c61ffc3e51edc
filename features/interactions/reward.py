"""From the rewards of an event to one number: the columns a RewardSpec asks for, as Polars expressions.

reward = Σ_kinds weight · clip(how(values of that kind)), `default` when no counted kind came within the window.

A reward belongs to a decision from CLOCK_SKEW_US before it (clocks differ) to LOOKBACK_US after it, both included, to
the microsecond. It counts until the reward window ends, that moment included; a later one is late and never moves the
reward. `in_reach` and `on_time` are that rule for one reward, `in_reach_columns` the first for columns.
"""

import polars as pl

from croupier.features.reach import CLOCK_SKEW_US, LOOKBACK_US, in_reach, on_time
from croupier.features.spec import KindSpec, RewardSpec
from croupier.features.utc import us_of

__all__ = ["CLOCK_SKEW_US", "LOOKBACK_US", "in_reach", "in_reach_columns", "on_time", "to_number", "window_us"]

# Ties in time are broken by content, so the result does not depend on the order of arrival.
ORDER = ("event_id", "at", "kind", "value", "reward_id")


def window_us(spec: RewardSpec) -> int:
    """The length of the reward window in microseconds."""
    return us_of(spec.window_seconds)


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
    one = {
        "first": values.first(),
        "last": values.last(),
        "max": values.max(),
        "sum": pl.when(values.len() > 0).then(values.sum()),
    }[kind.how]
    clipped = one if kind.clip is None else one.clip(*kind.clip)
    return clipped * kind.weight
