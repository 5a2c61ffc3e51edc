"""A random feasible allocation: each as probable as any other, and exactly as probable as it says."""

import itertools
from collections import Counter

import numpy as np
import pytest
from scipy.stats import chisquare

from croupier.features.budgets.grid import Grid
from croupier.features.budgets.uniform import RandomAllocation
from tests.models.allocation.random_requests import request


def feasible(grid):
    n, m = grid.steps.shape
    return np.array([each for each in itertools.product(range(m), repeat=n) if grid.holds(np.array(each))])


def test_counts_and_marginals_are_those_of_a_list_of_all():
    rng = np.random.default_rng(3)
    for _ in range(100):
        cost, total, _, _ = request(rng, most=5)
        grid = Grid.of(cost, total).coarser(200)
        random, fit = RandomAllocation(grid), feasible(grid)
        shares = (fit[:, :, None] == np.arange(cost.shape[1])).mean(axis=0)
        assert random.probability == pytest.approx(1 / len(fit), rel=1e-12)
        assert random.marginals == pytest.approx(shares, abs=1e-12)
        assert grid.holds(random.draw(rng.random(len(cost))))


def test_draws_are_uniform():
    grid = Grid.of([[0.0, 1.0, 3.0], [1.0, 2.0, 2.0], [0.0, 5.0, 1.0]], 4.0)
    random, rng, fit = RandomAllocation(grid), np.random.default_rng(5), feasible(grid)
    seen = Counter(tuple(random.draw(rng.random(3)).tolist()) for _ in range(9000))
    assert set(seen) == set(map(tuple, fit.tolist()))
    assert chisquare([seen[tuple(each)] for each in fit.tolist()]).pvalue > 1e-3


def test_the_ends_of_the_unit_interval_draw_something_feasible():
    grid = Grid.of([[2.0, 0.0, 3.0]] * 4, 3.0)
    for u in (0.0, 1 - 2**-53):
        assert grid.holds(RandomAllocation(grid).draw(np.full(4, u)))


def test_counts_of_one_grid_are_kept_and_more_than_can_be_named_are_refused():
    grid = Grid.of([[0.0, 1.0]] * 5, 3.0)
    assert RandomAllocation.of(grid) is RandomAllocation.of(Grid.of([[7.0, 8.0]] * 5, 38.0))
    with pytest.raises(
        ValueError, match=r"items: found 1000, expected fewer: they have 10\^301 allocations, of which 10\^290"
    ):
        RandomAllocation(Grid.of([[0.0, 1.0]] * 1000, 1000.0))


def test_requests_of_one_shape_share_their_counts_whatever_their_totals_are():
    """16 patches of four options at two hundred totals: the same probability and marginals as with tables of their own."""
    costs = np.tile([64.0, 128.0, 256.0, 400.0], (16, 1))
    found = [RandomAllocation.of(Grid.of(costs, total).coarser(256)) for total in range(1500, 6400, 25)]
    assert len({id(each.counts) for each in found}) == 2  # cells of 16 tokens, and of 32
    for each in found[::17]:
        alone = RandomAllocation(each.grid)
        assert each.counts is not alone.counts
        assert each.log_count == pytest.approx(alone.log_count, rel=1e-12)
        assert each.marginals == pytest.approx(alone.marginals, abs=1e-12)
        u = np.random.default_rng(1).random(16)
        assert each.draw(u).tolist() == alone.draw(u).tolist()
