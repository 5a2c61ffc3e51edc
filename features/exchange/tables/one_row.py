"""A table has one row a decision, the shown arm's. Two other shapes that people keep are known here.

one row a candidate   of which a flag says which was shown: refused, since the other rows are no decisions
an impression and a click, a row each, under one event id: the click's reward is the event's
"""

from collections.abc import Mapping
from pathlib import Path

import polars as pl

FLAGS = ("shown", "was_shown", "is_shown", "displayed", "was_displayed", "is_displayed", "is_chosen", "was_chosen")
FEW = 20  # events of several rows; so many may be slips, which are counted row by row
SHARE = 0.1  # of all events


def one_row_each(frame: pl.DataFrame, columns: Mapping[str, str], path: Path) -> tuple[pl.DataFrame, list[str]]:
    """The frame, with one reward an event, and what was taken for what. Raises ValueError on a row a candidate."""
    flag = next(
        (c for c in frame.columns if c.lower() in FLAGS and c not in columns.values() and _is_flag(frame[c])), ""
    )
    unshown = int((frame[flag].cast(pl.Float64) == 0.0).sum()) if flag else 0
    several = _events_of_several_arms(frame, columns)
    if several or unshown > SHARE * len(frame):
        found = f"{flag} = 0 in {unshown:,} rows" if flag else f"several arms in the rows of {several:,} events"
        event = columns.get("event_id", "")
        hint = (
            f"keep the rows where {flag} is 1"
            if flag
            else (
                f"keep the row of the arm that was shown; where {event} does not name a decision, say the column that "
                "does (--column event_id=NAME)"
            )
        )
        raise ValueError(
            f"{path}: found {found}, expected one row a decision, the shown arm's: {hint}; the other "
            "candidates, and their probabilities, go into lists (columns arms and pmf)"
        )
    return _one_reward(frame, columns) if "event_id" in columns else (frame, [])


def _is_flag(column: pl.Series) -> bool:
    numbers = column.cast(pl.Float64, strict=False)
    return column.null_count() == numbers.null_count() and set(numbers.drop_nulls().unique()) == {0.0, 1.0}


def _events_of_several_arms(frame: pl.DataFrame, columns: Mapping[str, str]) -> int:
    """0 where they are few enough to be slips."""
    if "event_id" not in columns:
        return 0
    arms = frame.group_by(columns["event_id"]).agg(n=pl.col(columns["arm"]).n_unique()).drop_nulls()
    several = int((arms["n"] > 1).sum())
    return several if several > max(FEW, SHARE * len(arms)) else 0


def _one_reward(frame: pl.DataFrame, columns: Mapping[str, str]) -> tuple[pl.DataFrame, list[str]]:
    """Where the rows of an event have rewards of 0 and of one other value, that value in all of them."""
    event, arm, reward = (columns[role] for role in ("event_id", "arm", "reward"))
    value = pl.col(reward).cast(pl.Float64, strict=False)
    other = value.filter(value != 0.0)
    of_one_arm = (pl.len().over(event) > 1) & (pl.col(arm).n_unique().over(event) == 1)
    two = (other.n_unique().over(event) == 1) & (value == 0.0).any().over(event)
    found = frame.select(pl.col(event).is_not_null() & of_one_arm & two, value=other.first().over(event))
    both = found.to_series(0).fill_null(value=False)
    events = frame.filter(both)[event].n_unique()
    if events <= FEW:
        return frame, []
    one = pl.lit(found["value"]).cast(frame.schema[reward])
    kept = pl.when(pl.lit(both)).then(one).otherwise(pl.col(reward))  # what is no number stays, to be counted
    said = (
        f"{events:,} events have a row with reward 0 and one with another (an impression and a click): the other counts"
    )
    return frame.with_columns(kept.alias(reward)), [said]
