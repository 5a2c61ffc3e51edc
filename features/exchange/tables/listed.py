"""Lists of candidates and probabilities as people write them: `red|blue`, or an object of a probability an arm."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
import polars as pl

from croupier.features.exchange.arm_ids import bare
from croupier.features.exchange.tables.nested import objects_of

SEPARATORS = "|;,"
_SURE = 0.98  # of the rows, whose own arm must be among the parts
_LOOK = 200


def listed(frame: pl.DataFrame, columns: Mapping[str, str]) -> tuple[pl.DataFrame, dict[str, str], list[str]]:
    """The frame with lists in the columns of candidates and of their probabilities, the columns by role, and what was
    taken for what. What is neither written so stays as it is, and is read, or counted, row by row."""
    frame, columns, told = _by_arm(frame, dict(columns))
    frame, split = _split(frame, columns)
    return frame, columns, [*told, *split]


def _by_arm(frame: pl.DataFrame, columns: dict[str, str]) -> tuple[pl.DataFrame, dict[str, str], list[str]]:
    """Objects {arm: probability} → lists; the arms are the candidates, whatever another column says of them."""
    name = columns.get("pmf", "")
    if not name or not any(objects_of(frame[name].head(_LOOK))):
        return frame, columns, []
    rows = [{arm: p for arm, p in (row or {}).items() if p is not None} for row in objects_of(frame[name])]
    arms = f"{name}, its arms"
    frame = frame.drop(columns.get("arms", [])).with_columns(
        pl.Series(name, [_text(list(row.values())) for row in rows], pl.String),
        pl.Series(arms, [_text(list(row)) for row in rows], pl.String),
    )
    return frame, columns | {"arms": arms}, [f"column {name}: an object of arms and their probabilities"]


def _text(values: Sequence[Any]) -> str | None:
    return orjson.dumps(values).decode() if values else None


def _split(frame: pl.DataFrame, columns: Mapping[str, str]) -> tuple[pl.DataFrame, list[str]]:
    """Text of candidates between separators, where the rows' own arms are among the parts."""
    name = columns.get("arms", "")
    if not name or frame[name].dtype != pl.String:
        return frame, []
    cells = frame[name].to_list()
    told = [
        (cell, bare(arm)) for cell, arm in zip(cells, frame[columns["arm"]], strict=True) if cell and arm is not None
    ]
    if not told or any(cell.lstrip()[:1] in "[({" for cell, _ in told[:_LOOK]):
        return frame, []
    for mark in SEPARATORS:
        holds = sum(arm in _parts(cell, mark) for cell, arm in told)
        if holds >= _SURE * len(told) and any(mark in cell for cell, _ in told):
            lists = [_text(_parts(cell, mark)) if cell else None for cell in cells]
            return frame.with_columns(pl.Series(name, lists, pl.String)), [f"column {name}: arms between {mark!r}"]
    return frame, []


def _parts(cell: str, mark: str) -> list[str]:
    return [part for part in map(bare, cell.split(mark)) if part]
