"""How the minimums of slates stand: how many arms of their category the pages of the joined log have shown."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from croupier.features.encoding.inline import given_in
from croupier.features.slates.held import SlateRules
from croupier.features.slates.log_rules import so_fars

Row = Mapping[str, Any]


class ShownSlot(NamedTuple):
    """The arm that a slot of a slate showed, the features that its request brought of it, if it did, the slots of its
    slate, and the release that decided it."""

    arm: str
    own: Row | None
    k: int
    release: int


class Kept(NamedTuple):
    """One minimum: how many arms of its category each whole slate showed (n,), and the releases of its slots."""

    shown: Sequence[int]
    releases: Sequence[frozenset[int]]

    def broken(self, least: int, having: set[int]) -> int:
        """How many slates showed fewer than `least`, although each release that decided them asks for these."""
        return sum(n < least and of <= having for n, of in zip(self.shown, self.releases, strict=True))

    @property
    def moments(self) -> tuple[float, float, float] | None:
        """The least, the mean and the most that a slate showed; None where there was none."""
        return (
            (float(np.min(self.shown)), float(np.mean(self.shown)), float(np.max(self.shown))) if self.shown else None
        )


def kept(rules: SlateRules, rows: pl.DataFrame) -> list[Kept]:
    """By minimum, over the slates of these rows that something was asked of and all of whose slots are here."""
    slates = _whole(rows)
    counts = [rules.counts([slot.arm for slot in each], [slot.own for slot in each]) for each in slates]
    releases = [frozenset(slot.release for slot in each) for each in slates]
    return [Kept([found[i] for found in counts], releases) for i in range(len(rules.declared.minimums))]


def _whole(rows: pl.DataFrame) -> list[list[ShownSlot]]:
    found, given = defaultdict[tuple[str, str], list[ShownSlot]](list), given_in(rows)
    columns = rows.select("unit_id", "event_id", "arm", "arms", "release").iter_rows()
    for so_far, own, (unit, event, arm, arms, release) in zip(so_fars(rows), given, columns, strict=True):
        if so_far is not None:
            brought = own[arms.index(arm)] if own else None
            found[unit, event.rpartition("/")[0]].append(ShownSlot(arm, brought, so_far.k, release))
    return [slots for slots in found.values() if len(slots) == slots[0].k]
