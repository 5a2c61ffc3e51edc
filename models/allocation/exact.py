"""The multiple-choice knapsack, exactly, by dynamic programming over cells.

V_i(w), the most that the first i items gain within w cells, is max_j V_{i−1}(w − k_ij) + g_ij (Dudzinski & Walukiewicz
1987, "Exact methods for the knapsack problem and its generalizations"; Kellerer, Pferschy & Pisinger 2004, "Knapsack
Problems", §11.5, eq. 11.25). All posterior draws are solved side by side. With a coverage bonus the state has one bit
more, whether the region under way is covered, so the bonus is exact, too. Ties go to the option that comes first.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from croupier.features.batch import F64, I64, Bool
from croupier.features.budgets.grid import Grid, gains_checked
from croupier.models.allocation.coverage import Coverage

Codes = NDArray[np.int16]


@dataclass(frozen=True, kw_only=True, eq=False)
class KnapsackTable:
    """`value` (S, cells + 1): the most that can be gained within so many cells, for each draw, and how it is
    reached."""

    value: F64
    _grid: Grid
    _order: I64  # items, region by region
    _taken: list[Codes]  # of each item (states, S, cells + 1): option + m · the state it came from
    _covered: list[Bool | None]  # behind each item, (S, cells + 1) where a region ends: whether it is covered

    @classmethod
    def of(cls, gain: F64, grid: Grid, coverage: Coverage | None = None) -> "KnapsackTable":
        """The table of gains (S, n, m). Its work goes with S · n · m · cells."""
        S, n, m = gains_checked(gain, grid).shape
        coverage = coverage or Coverage.none(n, m)
        order = np.argsort(coverage.region, kind="stable")
        ends = [a != b for a, b in pairwise([*coverage.region[order].tolist(), -1])]
        states, taken, closings = coverage.states, list[Codes](), list[Bool | None]()
        value = np.full((states, S, grid.cells + 1), -np.inf)
        value[0] = 0.0
        for item, end in zip(order.tolist(), ends, strict=True):
            value, code = _with(value, gain[:, item], grid.steps[item], coverage.covers)
            taken.append(code)
            closings.append(_close(value, coverage.bonus) if end and states == 2 else None)
        return cls(value=value[0], _grid=grid, _order=order, _taken=taken, _covered=closings)

    def read(self, cells: I64) -> I64:
        """(S, n): each draw's best allocation within its number of cells (S,)."""
        left, draws = np.array(cells, np.int64), np.arange(len(self.value))
        state, m = np.zeros(len(left), np.int64), self._grid.steps.shape[1]
        chosen = np.empty((len(left), len(self._order)), np.int64)
        for item, taken, covered in reversed(list(zip(self._order.tolist(), self._taken, self._covered, strict=True))):
            if covered is not None:
                state = covered[draws, left].astype(np.int64)
            state, option = np.divmod(taken[state, draws, left].astype(np.int64), m)
            chosen[:, item] = option
            left -= self._grid.steps[item, option]
        return chosen


def exact(gain: F64, grid: Grid, coverage: Coverage | None = None) -> I64:
    """(S, n): an option for each item that gains the most within the grid, for each draw of gains (S, n, m)."""
    table = KnapsackTable.of(gain, grid, coverage)
    return table.read(np.full(len(gain), grid.cells))


def _with(value: F64, gain: F64, steps: I64, covers: Bool) -> tuple[F64, Codes]:
    """One more item: values (states, S, cells + 1), and by which option and from which state each is reached."""
    states, _, width = value.shape
    best, code, m = np.full_like(value, -np.inf), np.zeros(value.shape, np.int16), len(steps)
    for option in np.flatnonzero(steps < width).tolist():
        k = int(steps[option])
        for state in range(states):
            to = 1 if states == 2 and (state or covers[option]) else 0
            reached = value[state, :, : width - k] + gain[:, option, None]
            better = reached > best[to, :, k:]
            np.copyto(best[to, :, k:], reached, where=better)
            np.copyto(code[to, :, k:], np.int16(option + m * state), where=better)
    return best, code


def _close(value: F64, bonus: float) -> Bool:
    """Ends a region: its bonus where it is covered, in place. Returns where that is better."""
    covered: Bool = value[1] + bonus > value[0]
    np.copyto(value[0], value[1] + bonus, where=covered)
    value[1] = -np.inf
    return covered
