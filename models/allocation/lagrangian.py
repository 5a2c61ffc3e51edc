"""The multiple-choice knapsack by its Lagrangian dual, with a proven gap; and greedily, as the peer.

    L(λ) = λ·cells + Σ_i max_j (g_ij − λ k_ij)  ≥  the optimum, for every λ ≥ 0

(weak duality: Geoffrion 1974; for this knapsack Kellerer, Pferschy & Pisinger 2004, §11.2). L is the upper envelope of
one line for each allocation, so it is minimised where two lines cross, one of an allocation that spends too much and
one that does not, until no third lies above (Kelley 1960; Handler & Zang 1980). The allocation on the cheaper line is
filled greedily; the least L seen minus its gain is the gap: the optimum is no further away. A coverage bonus is a
maximum for each region by itself, so it stands in L as it is.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from croupier.features.batch import F64, I64, Bool
from croupier.features.budgets.grid import Grid, gains_checked
from croupier.models.allocation.coverage import Coverage

CROSSINGS = 12  # at most: ten find the least L of 64 items; what is found is feasible, and its gap valid, at any number


@dataclass(frozen=True, kw_only=True, eq=False)
class Solved:
    """Allocations `chosen` (S, n), what they gain, `value` (S,), and `gap` (S,): the optimum is at most so much
    more."""

    chosen: I64
    value: F64
    gap: F64


def lagrangian(gain: F64, grid: Grid, coverage: Coverage | None = None) -> Solved:
    """Solves each draw of gains (S, n, m)."""
    S, n, m = gains_checked(gain, grid).shape
    coverage = coverage or Coverage.none(n, m)
    dual = _Dual(gain, grid, coverage)
    high = dual.at(np.zeros(S))
    bound, over = high.height.copy(), np.flatnonzero(high.slope < 0)
    if len(over):
        low, top = high.of(over), dual.free(over)
        bound[over] = dual.cross(low, top, over)
        high.chosen[over] = top.chosen
    chosen = fill(gain, grid, high.chosen, coverage)
    value = coverage.value(gain, chosen)
    return Solved(chosen=chosen, value=value, gap=np.maximum(bound - value, 0.0))


def greedy(gain: F64, grid: Grid, coverage: Coverage | None = None) -> I64:
    """(S, n): from each item's best option of no extra cost, the exchange that gains most a cell, while one fits."""
    gains_checked(gain, grid)
    free = np.where(grid.steps == 0, gain, -np.inf)
    return fill(gain, grid, free.argmax(axis=2), coverage or Coverage.none(*grid.steps.shape))


def fill(gain: F64, grid: Grid, chosen: I64, coverage: Coverage) -> I64:
    """(S, n): allocations within the grid, bettered one item at a time by what gains most a cell, until nothing that
    fits gains. Exchanges that cost no more come before all others; ties go to the first item, then option."""
    chosen, open_, wide = chosen.copy(), np.arange(len(chosen)), gain[0].size
    while len(open_):
        more, steps = _exchanges(gain[open_], grid, chosen[open_], coverage)
        spare = grid.cells - grid.spent(chosen[open_])
        good = np.flatnonzero((more > 0) & (steps <= spare[:, None, None]))  # few: little is spare
        rate = np.full(more.size, -np.inf)
        gained, cost = more.ravel()[good], steps.ravel()[good]
        rate[good] = np.where(cost > 0, gained / np.maximum(cost, 1), np.inf)
        best = rate.reshape(-1, wide).argmax(axis=1)
        found = np.unique(good // wide)
        open_, best = open_[found], best[found]
        item, option = np.divmod(best, gain.shape[2])
        chosen[open_, item] = option
    return chosen


def _exchanges(gain: F64, grid: Grid, chosen: I64, coverage: Coverage) -> tuple[F64, I64]:
    """(S, n, m): what another option would gain, and how many cells more it would cost."""
    more = gain - np.take_along_axis(gain, chosen[:, :, None], axis=2)
    steps = grid.steps - grid.steps[np.arange(len(grid.steps)), chosen][:, :, None]
    if coverage.bonus:
        others = coverage.covering(chosen)[:, coverage.region] - coverage.covers[chosen]
        alone = (others == 0)[:, :, None]  # the region is covered if and only if this item covers
        more = more + coverage.bonus * alone * (coverage.covers * 1.0 - coverage.covers[chosen][:, :, None])
    return more, steps


@dataclass(eq=False)
class _Lines:
    """A line for each draw, height + slope·λ: the gain of one allocation, and the cells that are left."""

    chosen: I64
    height: F64
    slope: F64

    def of(self, rows: NDArray[np.intp]) -> "_Lines":
        return _Lines(self.chosen[rows], self.height[rows], self.slope[rows])

    def put(self, places: NDArray[np.intp], lines: "_Lines", which: Bool) -> None:
        """Puts those of the lines that are True in `which` at their places, among these."""
        for mine, theirs in zip(vars(self).values(), vars(lines).values(), strict=True):
            mine[places[which]] = theirs[which]


class _Dual:
    """L(λ) of every draw at once. Gains and steps are one array an option: numpy's maxima are fastest so."""

    def __init__(self, gain: F64, grid: Grid, coverage: Coverage) -> None:
        self._whole, self._grid, self._coverage = gain, grid, coverage
        fits = grid.steps <= grid.cells
        self._gain = [np.where(fits[:, j], gain[:, :, j], -np.inf) for j in range(gain.shape[2])]
        self._steps = [np.where(fits[:, j], grid.steps[:, j], 0).astype(np.float64) for j in range(gain.shape[2])]

    def at(self, price: F64, rows: NDArray[np.intp] | None = None) -> _Lines:
        """The highest lines at prices a cell (S',), of the draws `rows`."""
        gains = self._gain if rows is None else [each[rows] for each in self._gain]
        best, chosen = self._best(gains, price[:, None], range(len(gains)))
        if self._coverage.bonus:
            self._cover(gains, price[:, None], best, chosen)
        return self._lines(chosen, rows)

    def free(self, rows: NDArray[np.intp]) -> _Lines:
        """The lines that are highest at any price that is high enough: of what costs nothing more."""
        gain = np.where(self._grid.steps == 0, self._whole[rows], -np.inf)
        return self._lines(gain.argmax(axis=2), rows)

    def cross(self, low: _Lines, high: _Lines, rows: NDArray[np.intp]) -> F64:
        """The least L found (S',), from lines that fall (spend too much) and lines that do not. `high` is then the last
        of those that do not, in place."""
        bound, going = np.full(len(rows), np.inf), np.arange(len(rows))
        for _ in range(CROSSINGS):
            ahead, behind = low.of(going), high.of(going)
            price = np.maximum((ahead.height - behind.height) / (behind.slope - ahead.slope), 0.0)
            found = self.at(price, rows[going])
            here = found.height + found.slope * price
            bound[going] = np.minimum(bound[going], here)
            above = here > (behind.height + behind.slope * price) * (1 + 1e-12) + 1e-12
            low.put(going, found, found.slope < 0)
            high.put(going, found, (found.slope >= 0) & above)
            going = going[above]
            if not len(going):
                break
        return bound

    def _lines(self, chosen: I64, rows: NDArray[np.intp] | None) -> _Lines:
        gain = self._whole if rows is None else self._whole[rows]
        slope = (self._grid.cells - self._grid.spent(chosen)).astype(np.float64)
        return _Lines(chosen, self._coverage.value(gain, chosen), slope)

    def _best(self, gains: list[F64], price: F64, options: range | I64) -> tuple[F64, I64]:
        """What each item's best of these options comes to at the price, and which it is, (S', n) both."""
        best = np.full(gains[0].shape, -np.inf)
        chosen = np.zeros(best.shape, np.int64)
        for j in options:
            reduced = gains[j] - price * self._steps[j]
            better = reduced > best
            np.copyto(best, reduced, where=better)
            np.copyto(chosen, j, where=better)
        return best, chosen

    def _cover(self, gains: list[F64], price: F64, best: F64, chosen: I64) -> None:
        """Where no item of a region covers, the one that loses least by it does, if the bonus is worth it; in place."""
        coverage, draws = self._coverage, np.arange(len(best))
        covering, how = self._best(gains, price, np.flatnonzero(coverage.covers))
        loss: F64 = np.where(coverage.covers[chosen], 0.0, best - covering)
        for region in np.unique(coverage.region).tolist():
            items = np.flatnonzero(coverage.region == region)
            least = items[loss[:, items].argmin(axis=1)]
            covered = coverage.covers[chosen[:, items]].any(axis=1)
            change = np.flatnonzero((coverage.bonus > loss[draws, least]) & ~covered)
            chosen[change, least[change]] = how[change, least[change]]
