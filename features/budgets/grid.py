"""Costs as whole numbers: what an allocation may spend above the cheapest one, in cells.

Every item must take an option, so the cheapest option of each is spent in any case. What is left of the total is
divided into cells, and every option costs so many cells more than its item's cheapest. Costs are read as the decimals
that they are written as (0.1 is one tenth), and the arithmetic is that of fractions: `Σ steps ≤ cells` implies
`Σ cost ≤ total`, with no rounding that could break it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from croupier.features.batch import F64, I64
from croupier.features.schema import InvalidEvent

FINEST = 1 << 40  # cells of the finest grid: sums of a thousand items' steps are exact in float64


@dataclass(frozen=True, kw_only=True, eq=False)
class Grid:
    """`steps` (n, m): cells that an option costs above its item's cheapest, cells + 1 where it can never be afforded;
    `cells`: how many there are to spend. `exact` is False where costs were rounded up to whole cells: then some
    allocations that would just fit are left out, and none that does not fit is let in."""

    steps: I64
    cells: int
    exact: bool = True

    @classmethod
    def of(cls, cost: NDArray[Any] | Sequence[Sequence[float]], total: float, *, finest: int = FINEST) -> Self:
        """The grid of costs (n, m) under a total, of at most `finest` cells. Raises InvalidEvent, naming `items`,
        `cost` or `total`: a cost is negative or not finite, or the total is below the sum of the cheapest options."""
        rows = _checked(np.asarray(cost, np.float64), total)
        written = {float(value): Fraction(repr(float(value))) for value in np.unique(rows)}
        limit = Fraction(repr(float(total)))
        scale = math.lcm(limit.denominator, *(value.denominator for value in written.values()))
        whole = {value: int(fraction * scale) for value, fraction in written.items()}
        costs = [[whole[value] for value in row] for row in rows.tolist()]
        least = [min(row) for row in costs]
        spare = int(limit * scale) - sum(least)
        if spare < 0:
            raise InvalidEvent("total", total, f"at least {float(Fraction(sum(least), scale)):.15g}, {_CHEAPEST}")
        extra = [[value - low for value in row] for row, low in zip(costs, least, strict=True)]
        return cls._of_whole(extra, min(spare, sum(map(max, extra))), finest)

    @classmethod
    def _of_whole(cls, extra: list[list[int]], spare: int, finest: int) -> Self:
        """The grid of whole extra costs, in cells of their common divisor, or of the smallest size that is allowed."""
        unit = math.gcd(*(value for row in extra for value in row)) or 1
        exact = spare // unit <= finest
        if not exact:
            unit = -(-spare // finest)
        cells = spare // unit
        steps = [[min(-(-value // unit), cells + 1) for value in row] for row in extra]
        return cls(steps=np.array(steps, np.int64), cells=cells, exact=exact)

    def coarser(self, cells: int) -> Self:
        """This grid with at most so many cells; every allocation within it is within this one. A new cell is 2, 4, 8, …
        old ones, so that requests of one shape have the same steps at most of their totals."""
        if self.cells <= cells:
            return self
        unit = 1 << (self.cells // (cells + 1)).bit_length()
        fewer = self.cells // unit
        steps = np.where(self.steps > self.cells, fewer + 1, np.minimum(-(-self.steps // unit), fewer + 1))
        return type(self)(steps=steps, cells=fewer, exact=False)

    def work(self, states: int) -> int:
        """Additions that the dynamic program takes for one draw, with so many states a cell."""
        return self.steps.size * (self.cells + 1) * (2 * states - 1)

    def spent(self, chosen: I64) -> I64:
        """(S,): the cells that allocations (S, n) of options cost."""
        spent: I64 = self.steps[np.arange(len(self.steps)), chosen].sum(axis=-1)
        return spent

    def holds(self, chosen: I64) -> bool:
        """True if the allocation (n,) is within the grid's cells."""
        return bool(self.spent(chosen) <= self.cells)


_CHEAPEST = "the sum of each item's cheapest option; raise the total or offer a cheaper option"


def _checked(cost: F64, total: float) -> F64:
    """The costs, once seen to be finite and not negative, of one item and one option at least."""
    if cost.ndim != 2 or 0 in cost.shape:
        raise InvalidEvent("items", cost.shape, "costs (items, options) of at least one item and one option")
    bad = np.argwhere(~(np.isfinite(cost) & (cost >= 0)))
    if len(bad):
        i, j = bad[0].tolist()
        raise InvalidEvent(f"cost[{i}][{j}]", float(cost[i, j]), "a finite number, 0 or more")
    if isinstance(total, bool) or not math.isfinite(total) or total < 0:
        raise InvalidEvent("total", total, "a finite number, 0 or more")
    return cost + 0.0  # −0.0 is 0


def gains_checked(gain: F64, grid: Grid) -> F64:
    """Gains (S, n, m) of a grid's items and options. Raises ValueError where shapes differ or one is not finite."""
    n, m = grid.steps.shape
    if gain.ndim != 3 or gain.shape[1:] != grid.steps.shape:
        raise ValueError(f"gain: found shape {gain.shape}, expected (draws, {n}, {m})")
    if not np.isfinite(gain).all():
        raise ValueError("gain: found NaN or infinity, expected finite numbers")
    return gain
