"""The probability of the chosen arm where a table has no column of it: from the column of all probabilities, or as its
owner states it for every row (`propensity=1/3`: three arms, drawn evenly)."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from fractions import Fraction
from typing import Any

import polars as pl

from croupier.features.exchange.arm_ids import bare
from croupier.features.exchange.cells import as_list, missing
from croupier.features.exchange.rounded import all_even

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


def stated(columns: Mapping[str, str]) -> float | None:
    """The probability that stands in the place of a column's name; None where none does."""
    with suppress(ValueError, ZeroDivisionError):
        found = float(Fraction(columns.get("propensity", "")))
        return found if 0.0 < found <= 1.0 else None
    return None


def with_stated(frame: pl.DataFrame, columns: Mapping[str, str]) -> tuple[pl.DataFrame, list[str]]:
    """The frame with a column of the stated probability, which has its words as its name, and what is to be said of
    it. A column of that name stays what it is."""
    p, words = stated(columns), columns.get("propensity", "")
    if p is None or words in frame.columns:
        return frame, []
    said = (
        f"every row's arm was drawn with probability {words}, as you say: all estimates are wrong where it was another"
    )
    return frame.with_columns(pl.lit(p, pl.Float64).alias(words)), [said]


def _entry(arm: Any, pmf: Any, arms: Any) -> float | None:
    if missing(arm) or missing(pmf):
        return None
    with suppress(TypeError, ValueError):
        ids, values = [bare(one) for one in as_list(arms)], as_list(pmf)
        return float(values[ids.index(bare(arm))]) if len(ids) == len(values) else None
    return None


def evenly(frame: pl.DataFrame, columns: Mapping[str, str], arms: int) -> bool:
    """True if as good as every row's propensity is 1/K of its K candidates, `arms` where none are listed, rounded."""
    shown = frame[columns["propensity"]]
    lists = frame[columns["arms"]] if "arms" in columns else [None] * len(shown)

    def told() -> Iterator[tuple[float, int]]:
        for p, listed in zip(shown, lists, strict=True):
            with suppress(TypeError, ValueError):  # such a row is counted when it is read
                yield float(p), arms if listed is None else len(as_list(listed))

    return all_even(told())
