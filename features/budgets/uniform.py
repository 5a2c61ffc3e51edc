"""A random feasible allocation: each of all that a grid holds with the same, known probability.

N_i(w) = Σ_j N_{i+1}(w − k_ij) counts the allocations of items i, i + 1, … within w cells (the knapsack's recursion with
sums in the place of maxima; Dyer 2003, "Approximate counting by dynamic programming"). Item after item is drawn in
proportion to the allocations that are left, so each has the probability 1/N_0(cells). With P_i(s), the allocations of
the items before i that cost exactly s cells, the marginals are Σ_s P_i(s) N_{i+1}(cells − s − k_ij) / N_0(cells).

Neither N nor P depends on how many cells there are to spend: requests of one shape share their tables, whatever their
totals are.
"""

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Self

import numpy as np

from croupier.features.batch import F64, I64
from croupier.features.budgets.grid import Grid
from croupier.features.schema import InvalidEvent

MOST = 290.0  # decimal digits of N up to which 1/N, and its product with a share, are ordinary numbers
FLOOR_CELLS = 256  # of the grid that random allocations are counted on, and of the tables that requests share


@dataclass(frozen=True, kw_only=True, eq=False)
class AllocationCounts:
    """Tables of steps (n, m) for w = 0 … width − 1 cells: `after` (n + 1, width), N_i(w) / N_i(width − 1); `before`
    (n, width), P_i(s) up to a factor of its row; `log_count`, that of N_0(width − 1). Its work goes with n · m · width.
    """

    steps: I64
    after: F64
    before: F64
    log_count: float

    @classmethod
    def of(cls, steps: I64, width: int) -> Self:
        """Counts once. What costs `width` cells or more is never taken."""
        n, log_count = len(steps), 0.0
        after, before = np.ones((n + 1, width)), np.zeros((n, width))
        for i in reversed(range(n)):
            row = _shifted_sum(after[i + 1], steps[i])
            after[i] = row / row[-1]
            log_count += math.log(row[-1])
        before[:1, 0] = 1.0
        for i in range(n - 1):
            row = _shifted_sum(before[i], steps[i])
            before[i + 1] = row / row.max()
        return cls(steps=steps, after=after, before=before, log_count=log_count)


def _shifted_sum(values: F64, steps: I64) -> F64:
    """Σ_k values(w − k), for each number of cells w."""
    total, width = np.zeros_like(values), len(values)
    for k in steps.tolist():
        if k < width:
            total[k:] += values[: width - k]
    return total


class RandomAllocation:
    """The random allocation of a grid. Raises InvalidEvent where 1/N would be no ordinary number. `of` keeps what was
    counted last: requests of one shape, with the same costs, share it whatever their totals are."""

    @classmethod
    def of(cls, grid: Grid) -> "RandomAllocation":
        """The random allocation of a grid, counted on tables that other totals share where they are large enough."""
        return _kept(grid.steps.tobytes(), len(grid.steps), grid.cells, grid.exact)

    def __init__(self, grid: Grid, counts: AllocationCounts | None = None) -> None:
        self.grid = grid
        self.counts = counts or AllocationCounts.of(grid.steps, grid.cells + 1)
        self.log_count = self.counts.log_count
        if self.log_count <= MOST * math.log(10):
            self.log_count += math.log(self.counts.after[0, grid.cells])
        else:
            found = self.log_count / math.log(10)
            expected = (
                f"fewer: they have 10^{found:.0f} allocations, of which 10^{MOST:.0f} can be told apart; allocate "
            )
            raise InvalidEvent("items", len(grid.steps), expected + "to groups of them first")

    @property
    def probability(self) -> float:
        """That of each allocation within the grid, 1/N; any other has 0."""
        return math.exp(-self.log_count)

    def draw(self, uniforms: F64) -> I64:
        """(n,): the allocation of n numbers in [0, 1)."""
        left, chosen, after = self.grid.cells, np.zeros(len(uniforms), np.int64), self.counts.after
        for i, u in enumerate(uniforms.tolist()):
            mass = [float(after[i + 1, left - k]) if k <= left else 0.0 for k in self.grid.steps[i].tolist()]
            threshold, so_far, last = u * sum(mass), 0.0, 0
            for j, share in enumerate(mass):
                so_far += share
                last = j if share > 0 else last
                if share > 0 and threshold < so_far:
                    break
            chosen[i] = last
            left -= int(self.grid.steps[i, last])
        return chosen

    @cached_property
    def marginals(self) -> F64:
        """(n, m): how probable each option of each item is."""
        cells, steps = self.grid.cells, self.grid.steps
        before = self.counts.before[:, : cells + 1]
        after = self.counts.after[1:, cells::-1]  # at s: of the items behind, within cells − s
        mass = np.zeros(steps.shape)
        for k in np.unique(steps[steps <= cells]).tolist():
            items, options = np.nonzero(steps == k)
            which, place = np.unique(items, return_inverse=True)
            sums = np.einsum("is,is->i", before[which, : cells + 1 - k], after[which, k:])
            mass[items, options] = sums[place]
        return np.asarray(mass / mass.sum(axis=1, keepdims=True))


@lru_cache(maxsize=64)
def _kept(steps: bytes, items: int, cells: int, exact: bool) -> RandomAllocation:
    grid = Grid(steps=np.frombuffer(steps, np.int64).reshape(items, -1), cells=cells, exact=exact)
    affordable = np.where(grid.steps <= cells, grid.steps, 0)
    width = max(cells, min(int(affordable.max(axis=1).sum()), FLOOR_CELLS)) + 1
    counts = _counted(np.where(grid.steps <= cells, grid.steps, width).tobytes(), items, width)
    if counts.log_count > MOST * math.log(10) and width > cells + 1:
        return RandomAllocation(grid)  # its own table counts fewer
    return RandomAllocation(grid, counts)


@lru_cache(maxsize=16)
def _counted(steps: bytes, items: int, width: int) -> AllocationCounts:
    return AllocationCounts.of(np.frombuffer(steps, np.int64).reshape(items, -1), width)
