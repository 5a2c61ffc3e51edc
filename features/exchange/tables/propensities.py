"""The probability of the chosen arm where a table has a column of all probabilities and none of that one."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import polars as pl

from croupier.features.exchange.arm_ids import bare
from croupier.features.exchange.cells import as_list, missing

DERIVED = "propensity of the chosen arm"


def with_propensity(
    frame: pl.DataFrame, columns: Mapping[str, str], every_arm: Sequence[str]
) -> tuple[pl.DataFrame, dict[str, str]]:
    """The frame with the column, and the roles with it. It is empty where a row's probabilities cannot be read, or do
    not have the chosen arm: that row is counted when it is read."""
    arms = frame[columns["arms"]] if "arms" in columns else [None] * len(frame)
    cells = zip(frame[columns["arm"]], frame[columns["pmf"]], arms, strict=True)
    found = [_entry(arm, pmf, every_arm if own is None else own) for arm, pmf, own in cells]
    return frame.with_columns(pl.Series(DERIVED, found, pl.Float64)), {**columns, "propensity": DERIVED}


def _entry(arm: Any, pmf: Any, arms: Any) -> float | None:
    if missing(arm) or missing(pmf):
        return None
    with suppress(TypeError, ValueError):
        ids, values = [bare(one) for one in as_list(arms)], as_list(pmf)
        return float(values[ids.index(bare(arm))]) if len(ids) == len(values) else None
    return None
