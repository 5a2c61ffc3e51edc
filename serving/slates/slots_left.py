"""What is left to the next slots of slates that are decided together: what no slot above shows and the minimums leave,
less likeness to the arms above and what long-run constraints cost."""

from collections.abc import Sequence

import numpy as np

from croupier.features.batch import F64, I64, Batch, Left
from croupier.features.slates.held import SlateRules
from croupier.features.slates.minimums_at_once import MinimumsAtOnce
from croupier.serving.slates.under_way import UnderWay


class SlotsLeft:
    """What is left to slates whose candidates a batch has, in their order. Slot after slot it says what is left, and is
    told what is shown."""

    def __init__(self, slates: Sequence[UnderWay], batch: Batch, rules: SlateRules) -> None:
        self._slates, self._rules, self._paid = slates, rules, batch.price
        self._k, self._free = np.array([slate.k for slate in slates]), batch.mask.copy()
        self._held = self._minimums(batch.mask.shape[1])
        self._likeness = rules.likeness(batch) if rules.unlike else None

    def _minimums(self, width: int) -> MinimumsAtOnce | None:
        asked = [slate.minimums for slate in self._slates]
        if not any(asked):
            return None
        return MinimumsAtOnce(asked, [slate.offered.request.arms for slate in self._slates], width)

    def of(self, slot: int) -> Left:
        """What is left to this slot of the slates that have so many."""
        rows = np.flatnonzero(self._k > slot)
        keep = self._free[rows]
        may = None if self._held is None else self._held.may(rows, self._k[rows] - slot)
        if not slot and may is None:
            return Left.all(keep, self._paid)
        if may is not None:
            keep &= may
        return Left.kept(rows, keep, self._prices(rows, slot))

    def show(self, left: Left, drawn: Sequence[int]) -> None:
        """Each slate shows this of what was left."""
        shown = left.place[np.arange(len(left.rows)), drawn]
        self._free[left.rows, shown] = False
        if self._held is not None:
            self._held.show(left.rows, shown)
        if self._likeness is not None:
            self._likeness.show(left.rows, shown)

    def _prices(self, rows: I64, slot: int) -> F64 | None:
        """(n, K): what comes off each candidate's score."""
        paid = None if self._paid is None else self._paid[rows]
        if not slot or not self._rules.unlike:
            return paid
        off = self._likeness.prices(rows) if self._likeness is not None else self._asked(rows)
        return off if paid is None else off + paid

    def _asked(self, rows: I64) -> F64:
        """The prices of likeness, asked for slate by slate."""
        slates = [self._slates[i] for i in rows.tolist()]
        asked = [(each.so_far(), each.offered.request.arms, each.offered.request.arm_features) for each in slates]
        return self._rules.prices(asked, self._free.shape[1])
