"""The reward rule of features/reward.py as Polars columns, for millions of rewards at once.

That file states the rule; this one says nothing of its own. A property test holds both to the same fates and numbers.
"""

import polars as pl

from croupier.features.reward import CLOCK_SKEW_US, LOOKBACK_US, ORDER
from croupier.features.spec import KindSpec, RewardSpec


def in_reach_columns() -> pl.Expr:
    """Returns `reward.in_reach` of the columns `at` and `decided_at`."""
    return (pl.col("at") - pl.col("decided_at")).is_between(-CLOCK_SKEW_US, LOOKBACK_US)


def first_of_equal() -> pl.Expr:
    """True where a reward is the first of its event with its id, or, without an id, with its kind and value. The rows
    are in ORDER."""
    anonymous = pl.col("reward_id") == ""
    kind, value = pl.when(anonymous).then("kind"), pl.when(anonymous).then("value")
    return pl.struct("event_id", "reward_id", kind, value).is_first_distinct()


def with_fate(rewards: pl.DataFrame, window: int) -> pl.DataFrame:
    """Rewards in reach of their decisions (`decided_at`), in ORDER, with `fate`: on_time | late | duplicate."""
    fate = (
        pl.when(~first_of_equal())
        .then(pl.lit("duplicate"))
        .when(pl.col("at") > pl.col("decided_at") + window)
        .then(pl.lit("late"))
        .otherwise(pl.lit("on_time"))
    )
    return rewards.sort(ORDER).with_columns(fate=fate)


def margin() -> pl.Expr:
    """Returns the margins (a number each) of decisions; NaN where a decision has none."""
    number = pl.col("margin").cast(pl.Float64, strict=False).fill_null(float("nan"))
    return pl.when(pl.col("margin") == "").then(float("nan")).otherwise(number).alias("margin")


def to_number(on_time: pl.DataFrame, spec: RewardSpec) -> pl.DataFrame:
    """Rewards (event_id, at, kind, value), distinct, inside their window and sorted by ORDER → one row an event:
    event_id, reward, reward_count, reward_at (UTC µs of the last one). Kinds outside the spec do not count. Where some
    kind is sold, the rewards have the `margin` of their decisions."""
    counted = on_time.filter(pl.col("kind").is_in(list(spec.kinds)))
    parts = [_part(name, kind) for name, kind in spec.kinds.items()]
    number = pl.sum_horizontal(parts, ignore_nulls=True) if parts else pl.lit(spec.default)
    if spec.sells:
        number = pl.when(pl.col("margin").first().is_nan()).then(float("nan")).otherwise(number)
    return counted.group_by("event_id", maintain_order=True).agg(
        number.alias("reward"),
        pl.len().cast(pl.Int64).alias("reward_count"),
        pl.col("at").max().alias("reward_at"),
    )


def _part(name: str, kind: KindSpec) -> pl.Expr:
    one = how(pl.col("value").filter(pl.col("kind") == name))[kind.how]
    clipped = one if kind.clip is None else one.clip(*kind.clip)
    return clipped * kind.weight * (pl.col("margin").first() if kind.sold else 1.0)


def how(values: pl.Expr) -> dict[str, pl.Expr]:
    """Returns `reward.HOW` of a column in ORDER; null where it is empty."""
    return {
        "first": values.first(),
        "last": values.last(),
        "max": values.max(),
        "sum": pl.when(values.len() > 0).then(values.sum()),
    }
