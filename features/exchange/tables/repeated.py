"""Rows of a table that repeat the draw of a row before them, since units keep their arm: an A/B test's log."""

from collections.abc import Mapping

import numpy as np
import polars as pl

from croupier.features.batch import Bool
from croupier.features.quality.repeated_draws import Repeats

_NEEDED = ("unit_id", "arm", "propensity")
_ROW, _EVENT, _UNIT, _ARM, _P, _AT = "row", "event", "unit", "arm", "p", "at"


def repeated(frame: pl.DataFrame, columns: Mapping[str, str], arms: int) -> Bool:
    """Returns (n,) True for each row after the first of its unit, where units keep their arm; else all False. `arms` is
    how many there are: with the drawn arm's probability alone, another arm's is an even part of the rest."""
    none = np.zeros(len(frame), np.bool_)
    if arms < 2 or not set(_NEEDED) <= set(columns):
        return none
    rows = _rows(frame, columns)
    again = rows.filter(pl.col(_UNIT) == pl.col(_UNIT).shift(1), pl.col(_P).is_between(0, 1))
    hit = again.get_column("before").to_numpy() == again.get_column(_ARM).to_numpy()
    p = again.get_column(_P).to_numpy()
    unit = again.get_column(_UNIT).to_physical().to_numpy()
    if not Repeats.of(np.where(hit, p, (1.0 - p) / (arms - 1)), hit, unit).kept:
        return none
    later = rows.filter(pl.col(_UNIT) == pl.col(_UNIT).shift(1)).get_column(_ROW).to_numpy()
    none[later] = True
    return none


def _rows(frame: pl.DataFrame, columns: Mapping[str, str]) -> pl.DataFrame:
    """The rows that name a unit and an arm, those of a unit together and in order."""
    row = pl.int_range(pl.len())
    at = pl.col(columns["at"]) if "at" in columns else row
    alone = pl.format("row {}", row)  # a row without an id is an event of its own
    event = (
        pl.col(columns["event_id"]).cast(pl.String, strict=False).fill_null(alone) if "event_id" in columns else alone
    )
    rows = frame.select(
        row.alias(_ROW),
        event.alias(_EVENT),
        pl.col(columns["unit_id"]).cast(pl.String, strict=False).cast(pl.Categorical).alias(_UNIT),
        pl.col(columns["arm"]).cast(pl.String, strict=False).alias(_ARM),
        pl.col(columns["propensity"]).cast(pl.Float64, strict=False).alias(_P),
        at.alias(_AT),
    )
    rows = rows.drop_nulls([_UNIT, _ARM]).unique(_EVENT, keep="first").sort(_UNIT, _AT, _ROW)
    return rows.with_columns(before=pl.col(_ARM).shift(1))


def note(repeats: Bool) -> list[str]:
    """What a person is told of it."""
    if not repeats.any():
        return []
    n, draws = len(repeats), int((~repeats).sum())
    said = f"units keep their arm, as in an A/B test: {n:,} rows are {draws:,} draws"
    asked = "whether arms were drawn as logged is asked of one row of each unit"
    return [f"{said}; {asked}, and units that a policy learnt do not judge it"]
