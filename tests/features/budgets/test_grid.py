"""Costs as whole cells: decimals are what they are written as, nothing that does not fit is let in, refusals name what
was found."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest

from croupier.features.budgets.grid import Grid, gains_checked
from croupier.features.schema import InvalidEvent


def everything(n, m):
    return np.array(list(itertools.product(range(m), repeat=n)))


def test_tokens_are_cells_of_their_common_divisor():
    grid = Grid.of(np.tile([64.0, 128.0, 256.0, 400.0], (3, 1)), 500)
    assert grid.steps.tolist() == [[0, 4, 12, 20]] * 3  # above 64, in sixteens: 336 is 21, more than there is in all
    assert (grid.cells, grid.exact) == (308 // 16, True)


def test_tenths_are_tenths_whatever_binary_makes_of_them():
    """Ten times 0.1 is 1 (as floats it is 1.0000000000000000555…), and 0.1 + 0.2 is within 0.3."""
    assert Grid.of([[0.1, 0.4]] * 10, 1.0).cells == 0
    grid = Grid.of([[0.0, 0.1], [0.0, 0.2]], 0.3)
    assert grid.holds(np.array([1, 1]))
    assert not Grid.of([[0.0, 0.1], [0.0, 0.2]], 0.29999).holds(np.array([1, 1]))


def test_the_cells_hold_exactly_what_the_total_holds():
    rng = np.random.default_rng(1)
    for _ in range(60):
        n, m = rng.integers(1, 5), rng.integers(1, 5)
        cost = np.round(rng.random((n, m)) * 9, int(rng.integers(0, 4)))
        total = round(float(cost.min(axis=1).sum() + rng.random() * 6), 3)
        if Fraction(repr(total)) < sum(Fraction(repr(float(c))) for c in cost.min(axis=1)):
            continue
        grid, all_of_them = Grid.of(cost, total), everything(n, m)
        exactly = [
            sum(Fraction(repr(float(cost[i, j]))) for i, j in enumerate(each)) <= Fraction(repr(total))
            for each in all_of_them
        ]
        assert grid.exact
        assert (grid.spent(all_of_them) <= grid.cells).tolist() == exactly


@pytest.mark.parametrize("cells", [1, 3, 10])
def test_a_coarser_grid_holds_only_what_the_finer_holds_and_always_the_cheapest(cells):
    cost, total = np.random.default_rng(2).random((4, 4)).round(6) * 5, 12.0
    fine = Grid.of(cost, total)
    for coarse in (fine.coarser(cells), Grid.of(cost, total, finest=cells)):
        assert coarse.cells <= cells
        assert not coarse.exact
        within = coarse.spent(everything(4, 4)) <= coarse.cells
        assert not (within & (fine.spent(everything(4, 4)) > fine.cells)).any()
        assert coarse.holds(cost.argmin(axis=1))
    assert fine.coarser(fine.cells) is fine


@pytest.mark.parametrize(("cost", "total", "cells"), [
    ([[3.0], [2.0]], 5.0, 0),  # nothing to choose
    ([[0.0, 0.0]], 0.0, 0),  # free
    ([[7.0, 7.0]], 1e300, 0),  # the same, and no end of budget
    ([[0.0, 1e-300]], 1e300, 1),  # more than can be spent is not counted
    ([[0.0, 1.0]], 1, 1),  # a whole number as the total
])  # fmt: skip
def test_degenerate_requests(cost, total, cells):
    grid = Grid.of(cost, total)
    assert (grid.cells, grid.exact) == (cells, True)


@pytest.mark.parametrize(("cost", "total", "said"), [
    ([[64.0, 128.0]] * 4, 255.0, "total: found 255.0, expected at least 256, the sum of each item's cheapest option"),
    ([[1.0, -2.0]], 5.0, r"cost\[0\]\[1\]: found -2.0, expected a finite number, 0 or more"),
    ([[1.0, 2.0], [math.nan, 1.0]], 5.0, r"cost\[1\]\[0\]: found nan"),
    ([[1.0]], math.inf, "total: found inf, expected a finite number"),
    ([[1.0]], -1.0, "total: found -1.0"),
    ([[1.0]], True, "total: found True"),
    ([[]], 1.0, r"items: found \(1, 0\), expected costs \(items, options\) of at least one item and one option"),
])  # fmt: skip
def test_refusals_say_what_was_found_and_expected(cost, total, said):
    with pytest.raises(InvalidEvent, match=said):
        Grid.of(cost, total)


def test_gains_of_another_shape_or_not_finite_are_refused():
    grid = Grid.of([[0.0, 1.0]] * 3, 2)
    with pytest.raises(ValueError, match=r"found shape \(1, 2, 2\), expected \(draws, 3, 2\)"):
        gains_checked(np.zeros((1, 2, 2)), grid)
    with pytest.raises(ValueError, match="found NaN or infinity"):
        gains_checked(np.full((1, 3, 2), np.nan), grid)
