"""Which rows of a log are the slots of one slate, and in which order: found from what the decisions say themselves.

    SLATE/0, SLATE/1, …      as select_slate names its slots: every number from 0 on, or the slate lacks some
    PAGE/top, PAGE/side, …   as multi-slot calls name theirs: in the order in which fewer candidates are left

Slots are of one unit, and a slot has no candidate that one above it shows. Rows of which that is not true are decisions
by themselves, whatever their events are called. So logs need no column for slates, and older ones have them, too.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from croupier.features.batch import I64
from croupier.features.ids import hash64
from croupier.features.schema import APPRENTICE

ALONE, LACKING = 0, -1  # what `slots` says of a decision by itself, and of a slot whose slate lacks others
COLUMNS = ("slate", "slot", "slots")


class SlotRow(NamedTuple):
    """A row that may be a slot: its number in the frame, what follows the slate's id in its event, its arms, the arm
    shown."""

    row: int
    name: str
    arms: Sequence[str]
    arm: str


def with_slots(rows: pl.DataFrame) -> pl.DataFrame:
    """Adds `slate` (64 bits of its unit and id), `slot` (its place from 0) and `slots` (how many the slate has; ALONE,
    LACKING) to interactions (arrow.INTERACTIONS). The frame as it is where no slate of two slots or more is in it."""
    found = np.zeros((len(rows), 3), np.int64)
    for (unit, slate), group in _groups(rows).items():
        ordered = _ordered(group)
        number = hash64("slate", f"{unit}/{slate}") >> 1  # one bit less: it fits a signed column
        for place, each in enumerate(ordered or ()):
            found[each.row] = number, place, len(ordered or ())
        if ordered is None:
            found[[each.row for each in group]] = number, 0, LACKING
    if found[:, 2].max(initial=0) < 2:
        return rows
    return rows.with_columns(pl.Series(name, found[:, i]) for i, name in enumerate(COLUMNS))


def slots_in(rows: pl.DataFrame) -> I64 | None:
    """Returns (n, 3) what `with_slots` has added; None where it has added nothing."""
    return rows.select(COLUMNS).to_numpy().astype(np.int64) if COLUMNS[0] in rows.columns else None


def _groups(rows: pl.DataFrame) -> dict[tuple[str, str], list[SlotRow]]:
    """The rows whose events have a name within another's, by unit and that other."""
    asked = rows.with_row_index("row").filter(
        pl.col("event_id").str.contains("/", literal=True), pl.col("role") != APPRENTICE
    )
    if "allocation" in asked.columns:
        asked = asked.filter(pl.col("allocation") == "")
    found = dict[tuple[str, str], list[SlotRow]]()
    names = ("row", "event_id", "unit_id", "arms", "arm")
    row: tuple[Any, ...]
    for row in asked.select(names).iter_rows():
        slate, _, name = row[1].rpartition("/")
        if slate:
            found.setdefault((row[2], slate), []).append(SlotRow(row[0], name, row[3], row[4]))
    return found


def _ordered(group: list[SlotRow]) -> list[SlotRow] | None:
    """The slots from the first on; [] where these are decisions by themselves, None where some are missing."""
    numbered = all(each.name.isascii() and each.name.isdigit() for each in group)
    if not numbered and len(group) < 2:
        return []
    ordered = sorted(group, key=lambda each: int(each.name) if numbered else -len(each.arms))
    if not _go_down(ordered):
        return []
    if not numbered:
        return ordered if len({len(each.arms) for each in ordered}) == len(ordered) else []
    return ordered if [int(each.name) for each in ordered] == list(range(len(ordered))) else None


def _go_down(ordered: Sequence[SlotRow]) -> bool:
    """True if no slot has a candidate that one above it shows."""
    shown = set[str]()
    for each in ordered:
        if not shown.isdisjoint(each.arms):
            return False
        shown.add(each.arm)
    return True
