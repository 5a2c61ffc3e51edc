"""The dynamic program is exact, the Lagrangian's gap holds, nothing ever costs more than the total."""

import itertools

import numpy as np
import pytest
from scipy.optimize import Bounds, LinearConstraint, milp

from croupier.features.budgets.grid import Grid
from croupier.models.allocation.coverage import Coverage
from croupier.models.allocation.exact import KnapsackTable, exact
from croupier.models.allocation.lagrangian import greedy, lagrangian
from tests.models.allocation.random_requests import request, within


def best_of_all(cost, total, gain, cover):
    """(S,): by trying every allocation."""
    n, m = cost.shape
    fit = [each for each in itertools.product(range(m), repeat=n) if within(cost, total, each)]
    return np.array([cover.value(np.repeat(one[None], len(fit), 0), np.array(fit)).max() for one in gain])


def test_by_hand():
    """Three items, 5 to spend: the best cell for cell (item 0's option 1, 3 for 2) is not in the optimum."""
    gain = np.array([[[0.0, 3.0], [0.0, 4.0], [0.0, 3.5]]])
    grid = Grid.of([[0.0, 2.0], [0.0, 3.0], [0.0, 3.0]], 5.0)
    assert exact(gain, grid).tolist() == [[1, 1, 0]]
    tight = Grid.of([[0.0, 1.0], [0.0, 3.0], [0.0, 3.0]], 3.0)
    assert greedy(gain, tight).tolist() == [[1, 0, 0]]  # 3 a cell, and then nothing fits
    assert exact(gain, tight).tolist() == [[0, 1, 0]]
    solved = lagrangian(gain, tight)
    assert solved.value[0] + solved.gap[0] >= 4.0


@pytest.mark.parametrize("seed", range(4))
def test_exact_is_the_best_of_all_and_the_gap_holds(seed):
    rng = np.random.default_rng([seed, 1])
    for _ in range(60):
        cost, total, gain, cover = request(rng, most=5)
        grid = Grid.of(cost, total)
        best, solved = best_of_all(cost, total, gain, cover), lagrangian(gain, grid, cover)
        if grid.cells < 10_000:
            assert cover.value(gain, exact(gain, grid, cover)) == pytest.approx(best, abs=1e-9)
        assert solved.value == pytest.approx(cover.value(gain, solved.chosen), abs=1e-12)
        assert (solved.value <= best + 1e-9).all()
        assert (best <= solved.value + solved.gap + 1e-9).all()
        assert (cover.value(gain, greedy(gain, grid, cover)) <= best + 1e-9).all()


def by_milp(cost, total, gain):
    """HiGHS: Σ g x, one option an item, Σ c x ≤ total, x in {0, 1}."""
    n, m = cost.shape
    one = np.kron(np.eye(n), np.ones(m))
    done = milp(
        -gain.ravel(),
        constraints=[LinearConstraint(one, 1, 1), LinearConstraint(cost.ravel()[None], -np.inf, total)],
        integrality=np.ones(n * m),
        bounds=Bounds(0, 1),
        options={"mip_rel_gap": 0.0},
    )
    return -done.fun


@pytest.mark.parametrize("n", [12, 64])
def test_exact_agrees_with_a_kept_solver_at_full_size(n):
    rng = np.random.default_rng(n)
    cost, total = np.tile([64.0, 128.0, 256.0, 400.0], (n, 1)), 150.0 * n
    gain = np.cumsum(rng.random((4, n, 4)) * [1, 0.7, 0.5, 0.2], axis=2) + 0.05 * rng.normal(size=(4, n, 4))
    grid = Grid.of(cost, total)
    table, solved = KnapsackTable.of(gain, grid), lagrangian(gain, grid)
    known = np.array([by_milp(cost, total, one) for one in gain])
    assert table.value[:, -1] == pytest.approx(known, abs=1e-7)
    assert (known <= solved.value + solved.gap + 1e-7).all()
    assert (solved.gap < 0.25 / n * known).all()  # one item of n at most is far from its best
    assert Coverage.none(n, 4).value(gain, table.read(np.full(4, grid.cells))) == pytest.approx(known, abs=1e-7)


def test_a_bonus_covers_each_region_once_and_only_where_it_pays():
    gain = np.array([[[1.0, 0.9], [1.0, 0.8], [1.0, 0.4]]])
    grid = Grid.of([[0.0, 1.0]] * 3, 3.0)
    cover = Coverage(region=np.array([0, 0, 1]), covers=np.array([False, True]), bonus=0.5)
    for chosen in (exact(gain, grid, cover), lagrangian(gain, grid, cover).chosen, greedy(gain, grid, cover)):
        assert chosen.tolist() == [[1, 0, 0]]  # 0.1 is less than the bonus; 0.6 would be more
    tie = Coverage(region=np.array([0, 0, 1]), covers=np.array([False, True]), bonus=0.7)
    assert lagrangian(gain, grid, tie).chosen.tolist() == [[1, 0, 1]]
    with pytest.raises(ValueError, match="found a bonus of -1"):
        Coverage(region=np.zeros(1, int), covers=np.zeros(1, bool), bonus=-1)


AT_ONCE = 25  # requests that share costs and total, each with gains of its own


def over_budget(requests, seed):
    """How many allocations of random requests cost more than their total, by any of the solvers."""
    rng, over = np.random.default_rng([seed, 7]), 0
    for _ in range(requests // AT_ONCE):
        cost, total, gain, cover = request(rng, draws=AT_ONCE)
        grid = Grid.of(cost, total)
        found = [lagrangian(gain, grid, cover).chosen, greedy(gain, grid, cover)]
        if grid.cells < 400:
            found.append(exact(gain, grid, cover))
        different, times = np.unique(np.concatenate(found), axis=0, return_counts=True)
        fits = np.array([within(cost, total, each) for each in different.tolist()])
        over += int(times[~fits].sum())
    return over


def test_the_count_sees_what_costs_more(monkeypatch):
    monkeypatch.setattr(Grid, "of", classmethod(lambda cls, cost, total: cls(steps=np.zeros(cost.shape, int), cells=0)))
    assert over_budget(500, 0) > 100


@pytest.mark.medium
def test_nothing_costs_more_than_its_total_in_ten_thousand_requests():
    assert over_budget(10_000, 0) == 0


@pytest.mark.full
@pytest.mark.timeout(7200)
def test_nothing_costs_more_than_its_total_in_a_million_requests():
    assert over_budget(1_000_000, 1) == 0
