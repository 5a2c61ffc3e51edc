"""Two levels: first a budget for each region, then options for the items within it.

A region with a budget of w cells gains V_r(w), the last row of its own dynamic program. The regions' budgets are then
the options of a knapsack of their own, with gains V_r(w) and costs w. With every budget on offer this is the optimum of
all items together; with a few it is quicker, and holds regions to the budgets that are declared (a cap, a floor).
"""

from collections.abc import Sequence

import numpy as np

from croupier.features.batch import F64, I64
from croupier.features.budgets.grid import Grid, gains_checked
from croupier.features.schema import InvalidEvent
from croupier.models.allocation.exact import KnapsackTable


def every_budget(grid: Grid, region: I64) -> list[list[int]]:
    """For each region every budget that its items could use, in cells."""
    most = [int(grid.steps[region == r].max(axis=1).sum()) for r in range(int(region.max()) + 1)]
    return [list(range(min(grid.cells, each) + 1)) for each in most]


def two_levels(gain: F64, grid: Grid, region: I64, budgets: Sequence[Sequence[int]]) -> I64:
    """(S, n): each draw's best allocation of gains (S, n, m) in which the items of region r, `region` (n,) from 0,
    spend within one of `budgets[r]` (cells above their cheapest options), and these together are within the grid.

    Raises InvalidEvent where a region has no item or no budget, or the least budgets are above the grid's cells."""
    chosen = np.zeros(gains_checked(gain, grid).shape[:2], np.int64)
    _check(budgets, region, grid.cells)
    most = [min(max(each), grid.cells) for each in budgets]
    tables = [
        KnapsackTable.of(gain[:, region == r], Grid(steps=grid.steps[region == r], cells=cells, exact=grid.exact))
        for r, cells in enumerate(most)
    ]
    outer = _outer(budgets, grid.cells)
    gains = np.full((len(gain), *outer.steps.shape), _worst(gain))
    for r, (table, each) in enumerate(zip(tables, budgets, strict=True)):
        within = [w for w in each if w <= grid.cells]
        gains[:, r, : len(within)] = table.value[:, within]
    taken = KnapsackTable.of(gains, outer).read(np.full(len(gain), outer.cells))
    for r, (table, each) in enumerate(zip(tables, budgets, strict=True)):
        chosen[:, region == r] = table.read(np.array([w for w in each if w <= grid.cells], np.int64)[taken[:, r]])
    return chosen


def _outer(budgets: Sequence[Sequence[int]], cells: int) -> Grid:
    """The grid of regions and budgets; one that is too large can never be afforded. A region with fewer budgets than
    others has unaffordable ones in their place."""
    steps = np.full((len(budgets), max(map(len, budgets))), cells + 1, np.int64)
    least = sum(map(min, budgets))
    for r, each in enumerate(budgets):
        within = [w for w in each if w <= cells]
        steps[r, : len(within)] = np.array(within) - min(each)
    return Grid(steps=steps, cells=cells - least)


def _worst(gain: F64) -> float:
    """A gain below that of any allocation."""
    return float(-np.abs(gain).sum(axis=(1, 2)).max() - 1.0)


def _check(budgets: Sequence[Sequence[int]], region: I64, cells: int) -> None:
    """Raises InvalidEvent, naming what is missing."""
    if sorted(set(region.tolist())) != list(range(len(budgets))):
        found = sorted(set(region.tolist()))
        raise InvalidEvent("region", found, f"items of each of the {len(budgets)} regions that have budgets, from 0")
    for r, each in enumerate(budgets):
        if not len(each) or min(each) < 0:
            raise InvalidEvent(f"budgets[{r}]", list(each), "one number of cells at least, each 0 or more")
    if (least := sum(map(min, budgets))) > cells:
        raise InvalidEvent("budgets", least, f"least budgets of {cells} cells at most in all, which is what there is")
