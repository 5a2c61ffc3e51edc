"""Two levels are the optimum where every budget is on offer, and hold regions to theirs where it is not."""

import numpy as np
import pytest

from croupier.features.budgets.grid import Grid
from croupier.features.schema import InvalidEvent
from croupier.models.allocation.coverage import Coverage
from croupier.models.allocation.exact import exact
from croupier.models.allocation.levels import every_budget, two_levels


def problem(seed, n=8):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(5, n, 3)), Grid.of(rng.integers(0, 6, (n, 3)).astype(float), 20.0), rng.permutation(n) % 3


@pytest.mark.parametrize("seed", range(5))
def test_with_every_budget_two_levels_are_one(seed):
    gain, grid, region = problem(seed)
    none = Coverage.none(8, 3)
    chosen = two_levels(gain, grid, region, every_budget(grid, region))
    assert (grid.spent(chosen) <= grid.cells).all()
    assert none.value(gain, chosen) == pytest.approx(none.value(gain, exact(gain, grid)), abs=1e-9)


def test_regions_keep_within_the_budgets_that_are_declared():
    gain, grid, region = problem(7)
    budgets = [[2], [0, 4], [1, 3, 6, 500]]
    chosen = two_levels(gain, grid, region, budgets)
    spent = grid.steps[np.arange(8), chosen]
    for r, most in enumerate((2, 4, grid.cells)):
        assert (spent[:, region == r].sum(axis=1) <= most).all()
    assert (grid.spent(chosen) <= grid.cells).all()


@pytest.mark.parametrize(("budgets", "said"), [
    ([[0], [0]], r"region: found \[0, 1, 2\], expected items of each of the 2 regions"),
    ([[0], [], [0]], r"budgets\[1\]: found \[\], expected one number of cells at least"),
    ([[0], [-1], [0]], r"budgets\[1\]: found \[-1\]"),
    ([[9], [9], [9]], "budgets: found 27, expected least budgets of"),
])  # fmt: skip
def test_budgets_that_cannot_be_are_refused(budgets, said):
    gain, grid, region = problem(7)
    with pytest.raises(InvalidEvent, match=said):
        two_levels(gain, grid, region, budgets)
