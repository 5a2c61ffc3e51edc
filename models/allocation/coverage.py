"""Coverage: a bonus for each region of which at least one item has a covering option.

The bonus is no sum over items, so every solver has to know it. A region is a set of items (a quarter of an image, a
category of a shop); which options cover is declared.
"""

from dataclasses import dataclass

import numpy as np

from croupier.features.batch import F64, I64, Bool


@dataclass(frozen=True, kw_only=True, eq=False)
class Coverage:
    """`region` (n,) numbers each item's region from 0; `covers` (m,) is True for options that cover; `bonus` ≥ 0 is
    what each covered region adds to an allocation's gain. Raises ValueError where the bonus is negative."""

    region: I64
    covers: Bool
    bonus: float

    def __post_init__(self) -> None:
        if not (np.isfinite(self.bonus) and self.bonus >= 0):
            raise ValueError(f"coverage: found a bonus of {self.bonus}, expected a finite number, 0 or more")

    @classmethod
    def none(cls, items: int, options: int) -> "Coverage":
        """Returns a coverage that adds nothing."""
        return cls(region=np.zeros(items, np.int64), covers=np.zeros(options, bool), bonus=0.0)

    @property
    def states(self) -> int:
        """What the dynamic program has to tell apart: whether the region under way is covered, if that counts."""
        return 2 if self.bonus else 1

    @property
    def regions(self) -> int:
        """The number of regions."""
        return int(self.region.max(initial=-1)) + 1

    def covering(self, chosen: I64) -> I64:
        """(S, R): how many items of each region have a covering option, in allocations (S, n)."""
        counts = np.zeros((len(chosen), self.regions), np.int64)
        np.add.at(counts.T, self.region, self.covers[chosen].T)
        return counts

    def value(self, gain: F64, chosen: I64) -> F64:
        """(S,): the gain of allocations (S, n), by gains (S, n, m), with the bonus of the regions that they cover."""
        items: F64 = np.take_along_axis(gain, chosen[:, :, None], axis=2)[:, :, 0].sum(axis=1)
        return items + self.bonus * (self.covering(chosen) > 0).sum(axis=1) if self.bonus else items
