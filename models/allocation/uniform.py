"""A random feasible allocation: each of all that a grid holds with the same, known probability.

N_i(w) = Σ_j N_{i+1}(w − k_ij) counts the allocations of items i, i + 1, … within w cells (the knapsack's recursion with
sums in the place of maxima; Dyer 2003, "Approximate counting by dynamic programming"). Item after item is drawn in
proportion to the allocations that are left: each has the probability 1/N_0(cells), and marginals follow exactly.
"""

import math
from functools import cached_property, lru_cache

import numpy as np

from croupier.features.batch import F64, I64
from croupier.models.allocation.grid import Grid

MOST = 290.0  # decimal digits of N up to which 1/N, and its product with a share, are ordinary numbers


class RandomAllocation:
    """Counts once; its work goes with n · m · cells. Raises ValueError where 1/N would be no ordinary number. `of`
    keeps the latest grids' counts: requests of one shape, with the same costs and total, share theirs."""

    @classmethod
    def of(cls, grid: Grid) -> "RandomAllocation":
        """The random allocation of a grid."""
        return _counted(grid.steps.tobytes(), len(grid.steps), grid.cells, grid.exact)

    def __init__(self, grid: Grid) -> None:
        n, width = len(grid.steps), grid.cells + 1
        self.grid, self.log_count = grid, 0.0
        self._after = np.ones((n + 1, width))  # N_i(w) / N_i(cells)
        for i in reversed(range(n)):
            row = sum(self._parts(i), np.zeros(width))
            self._after[i] = row / row[-1]
            self.log_count += math.log(row[-1])
        if self.log_count > MOST * math.log(10):
            raise ValueError(
                f"items: found {n} with 10^{self.log_count / math.log(10):.0f} allocations, expected 10^{MOST:.0f} at "
                "most; allocate to regions first (models/allocation/levels.py)"
            )

    def _parts(self, i: int) -> list[F64]:
        """For each option of item i, (cells + 1,): the share of allocations of the items behind, by the cells left
        before it."""
        after, width = self._after[i + 1], self.grid.cells + 1
        parts = []
        for k in self.grid.steps[i].tolist():
            part = np.zeros(width)
            part[k:] = after[: max(width - k, 0)]
            parts.append(part)
        return parts

    @property
    def probability(self) -> float:
        """That of each allocation within the grid, 1/N; any other has 0."""
        return math.exp(-self.log_count)

    def draw(self, uniforms: F64) -> I64:
        """(n,): the allocation of n numbers in [0, 1)."""
        left, chosen = self.grid.cells, np.zeros(len(uniforms), np.int64)
        for i, u in enumerate(uniforms.tolist()):
            mass = [float(self._after[i + 1][left - k]) if k <= left else 0.0 for k in self.grid.steps[i].tolist()]
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
        n, m = self.grid.steps.shape
        marginals, width = np.zeros((n, m)), self.grid.cells + 1
        left = np.zeros(width)  # how probable it is that so many cells are left
        left[-1] = 1.0
        for i in range(n):
            parts, after = self._parts(i), np.zeros(width)
            here = left / sum(parts, np.zeros(width))
            for j, (k, part) in enumerate(zip(self.grid.steps[i].tolist(), parts, strict=True)):
                mass = here * part
                marginals[i, j] = mass.sum()
                after[: max(width - k, 0)] += mass[k:]
            left = after
        return marginals


@lru_cache(maxsize=64)
def _counted(steps: bytes, items: int, cells: int, exact: bool) -> RandomAllocation:
    return RandomAllocation(Grid(steps=np.frombuffer(steps, np.int64).reshape(items, -1), cells=cells, exact=exact))
