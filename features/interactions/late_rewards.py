"""Rewards that came after their window, beside the decisions that they were for.

They do not count. But where they come late for one policy more than for another, neither policy's mean can be believed,
and whoever compares the two must see it.
"""

import polars as pl

from croupier.features.interactions.reward_columns import margin, to_number
from croupier.features.reward import ORDER
from croupier.features.spec import RewardSpec


def beside(data: pl.DataFrame, late: pl.DataFrame, spec: RewardSpec) -> pl.DataFrame:
    """Adds to interactions `late`: whether a reward of a kind that counts came after the window, and `late_reward`:
    what those would have come to, 0 where none came or another was on time."""
    if late.is_empty():
        return none(data)
    late = late.join(data.select("event_id", margin()), on="event_id", how="left", maintain_order="left")
    numbers = to_number(late.sort(ORDER), spec).select("event_id", late_reward="reward", late=pl.lit(value=True))
    alone = pl.when(pl.col("reward_count") == 0).then(pl.col("late_reward"))
    joined = data.join(numbers, on="event_id", how="left", maintain_order="left")
    return joined.with_columns(
        pl.col("late").fill_null(value=False), late_reward=alone.cast(pl.Float64).fill_null(0.0)
    ).select(*data.columns, "late", "late_reward")


def none(data: pl.DataFrame) -> pl.DataFrame:
    """Adds the two columns where no reward was late."""
    return data.with_columns(late=pl.lit(value=False), late_reward=pl.lit(0.0))
