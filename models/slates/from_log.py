"""The slates of a log whose slots are decisions of their own, as `select_slate` and multi-slot logs record them.

Each slot's conditional propensity, the policy's, and Q̂ stand in its own row, so that a slate as any policy sees it is
its rows side by side: enough for sips, rips and cascade_dr. A slate of fewer slots than others is filled up with slots
that every policy fills alike and that earn nothing; a decision by itself is a slate of one. Marginals and the
pseudoinverse would need the log's policy on every slate that was not shown."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from croupier.features.batch import F64, I64, Bool
from croupier.features.slates.logged import ALONE, LACKING
from croupier.models.ope.estimators import Rounds
from croupier.models.slates.estimators import SlateRounds


@dataclass(frozen=True, kw_only=True, eq=False)
class LoggedSlates:
    """`rows` (m, k) of a log, by the first slot's: those of each slate's slots in order, −1 behind its last."""

    rows: I64

    @classmethod
    def of(cls, slots: I64, weight: F64) -> Self:
        """From `Interactions.slate` (n, 3), and `weight` (n,), 1 / pass_probability: where some rows stand for more
        than others the log was thinned, slot by slot, and slates of fewer slots than most have may lack their last
        ones. They are left out, as those are that lack others. Raises ValueError where none is left."""
        alone = np.flatnonzero(slots[:, 2] == ALONE)
        named = np.flatnonzero((slots[:, 2] != ALONE) & (slots[:, 2] != LACKING))
        _, number, count = np.unique(slots[named, 0], return_inverse=True, return_counts=True)
        whole = count[number] == slots[named, 2]
        if len(named) and np.ptp(weight):
            whole &= slots[named, 2] >= np.bincount(slots[named, 2]).argmax()
        kept = named[whole]
        _, place = np.unique(slots[kept, 0], return_inverse=True)
        m, k = int(place.max(initial=-1)) + 1, int(slots[kept, 2].max(initial=1))
        rows = np.full((m + len(alone), k), -1, np.int64)
        rows[place, slots[kept, 1]] = kept
        rows[m:, 0] = alone
        if not len(rows):
            raise ValueError(f"slates: found none whole among {len(slots)} rows, expected one")
        return cls(rows=rows[np.argsort(rows[:, 0], kind="stable")])

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def k(self) -> int:
        """The most slots that a slate has."""
        return self.rows.shape[1]

    @cached_property
    def there(self) -> Bool:
        """(m, k): True on slots that the slate has."""
        return self.rows >= 0

    @property
    def first(self) -> I64:
        """(m,): the row of each slate's first slot."""
        return self.rows[:, 0]

    @cached_property
    def kept(self) -> I64:
        """The rows that are in any slate, in order."""
        return np.sort(self.rows[self.there])

    def spread(self, values: NDArray[Any], empty: float = 0.0) -> Any:
        """Returns (m, k) of values (n,) a row; `empty` where a slate has no such slot."""
        return np.where(self.there, values[self.rows], empty)

    def thinning(self, weight: F64) -> F64:
        """Returns (m,): how many slates each stands for. Slots were thinned each by itself, but for what all rows have
        in common: a training window's sample keeps whole slates."""
        common = float(weight.min())
        return np.asarray(common * self.spread(weight / common, 1.0).prod(axis=1))


def slates_of(rounds: Rounds, slates: LoggedSlates) -> SlateRounds:
    """The slates of a log that a policy sees as `rounds`."""
    return SlateRounds(
        reward=slates.spread(rounds.reward),
        logged=slates.spread(rounds.propensity, 1.0),
        target=slates.spread(rounds.target, 1.0),
        predicted=slates.spread(rounds.predicted),
        direct=slates.spread(rounds.direct),
        thinning=slates.thinning(rounds.thinning),
    )
