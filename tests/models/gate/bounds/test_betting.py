"""Bets against a lift: the bound by a plain formula, its error on nulls, and what a bet must not be deceived by."""

from math import inf, log

import numpy as np
import pytest

from croupier.models.gate.bounds.betting import BURN_IN, CAP, EFFECTS, PARTS, ROOM, LiftBets
from croupier.models.gate.bounds.steadied import extremes, powers, steadied
from croupier.models.ope.estimators import Rounds

ARMS = 4
CHAMPION = np.array([0.97, 0.01, 0.01, 0.01])
CANDIDATE = np.array([0.01, 0.97, 0.01, 0.01])


def bets(n, rate, seed, *, explored=0.4, declared=(0.0, 1.0), unit=None, last_logged=None):
    """Bets on a log of the champion that explores; rate: of a click by arm (4,). `last_logged`: the last row's pmf."""
    rng = np.random.default_rng(seed)
    logged = np.tile((1 - explored) * CHAMPION + explored / ARMS, (n, 1))
    if last_logged is not None:
        logged[-1] = last_logged
    arm = (rng.random(n)[:, None] > np.cumsum(logged, axis=1)).sum(axis=1)
    reward = (rng.random(n) < np.asarray(rate)[arm]).astype(float)
    rows = np.arange(n)
    fixed = {"reward": reward, "propensity": logged[rows, arm], "predicted": np.zeros(n), "direct": np.zeros(n)}
    sides = [Rounds(target=pmf[arm], thinning=np.ones(n), **fixed) for pmf in (CANDIDATE, CHAMPION)]
    spread = powers(logged, CANDIDATE, CHAMPION)
    return LiftBets.of(
        *sides, reach=extremes(logged, CANDIDATE, CHAMPION), spread=spread, declared=declared, unit=unit
    ), (
        sides,
        spread,
    )


def test_wealth_is_the_product_of_its_factors_one_row_at_a_time():
    found, (sides, spread) = bets(1500, [0.1, 0.15, 0.1, 0.1], 0)
    reward, gap = sides[0].reward, sides[0].weight - sides[1].weight
    baseline = reward[:BURN_IN].mean()
    x = gap * (reward - baseline)
    logged = 0.6 * CHAMPION + 0.1
    delta = (CANDIDATE - CHAMPION) / logged
    far = ROOM * max(delta.max() * baseline, -delta.min() * (1 - baseline), 1.0)
    variance = steadied(x[:BURN_IN], spread[:BURN_IN], reward[:BURN_IN]).variance
    wealth = 0.0
    for part, effect in zip(PARTS, EFFECTS, strict=True):
        stake = min(effect * baseline / variance, CAP / (far + ROOM))
        product = part
        for value in x[BURN_IN:]:
            product *= 1.0 + stake * (value - 0.01)
        wealth += product
    assert found.log_wealth(0.01)[0] == pytest.approx(log(wealth), rel=1e-9)
    assert found.log_wealth(0.01, [1000])[0] == pytest.approx(found.log_wealth(0.01)[0], rel=1e-9)


def test_the_bound_is_where_the_wealth_reaches_one_over_alpha():
    found, _ = bets(6000, [0.05, 0.25, 0.05, 0.05], 1)
    lower = found.lower(0.05)
    assert 0.02 < lower < 0.2
    assert found.log_wealth(lower)[0] == pytest.approx(log(20), abs=1e-3)
    assert found.lower(0.01) < lower < found.lower(0.2)


@pytest.mark.medium
def test_nulls_are_promoted_no_more_often_than_alpha_at_any_row():
    """Ville's inequality holds for every number of rows: 300 nulls, asked at each row, and the sign turned as well."""
    for rates in ([0.05] * 4, [0.95] * 4):
        crossed = [bets(3000, rates, seed)[0].log_wealth(0.0, range(1, 2501)).max() >= log(10) for seed in range(150)]
        assert np.mean(crossed) <= 0.17  # α .1; 26 of 150 have probability .004 at most


def test_a_row_that_could_have_drawn_a_greater_weight_counts_as_the_worst():
    plain, _ = bets(2000, [0.1] * 4, 2)
    odd, _ = bets(2000, [0.1] * 4, 2, last_logged=np.array([0.9989, 0.0001, 0.0005, 0.0005]))
    assert odd.values[-1] == -1.0
    assert (odd.values[:-1] == plain.values[:-1]).all()
    assert odd.stakes.tolist() == plain.stakes.tolist(), "what is staked was fixed before that row"
    assert (1.0 + odd.stakes[:, None] * (odd.values - 1.0)).min() > 0.0, "no factor reaches zero, up to a lift of 1"


def test_rows_of_a_unit_count_for_less():
    """Each unit's rows all have one arm's luck: 40 units of 50 rows."""
    alone, _ = bets(2500, [0.1, 0.3, 0.1, 0.1], 3)
    unit = np.arange(2500) // 50
    together, _ = bets(2500, [0.1, 0.3, 0.1, 0.1], 3, unit=unit)
    assert alone.dispersion == 1.0
    assert together.dispersion >= 1.0
    assert together.log_wealth(0.0)[0] <= alone.log_wealth(0.0)[0]


def test_there_is_no_bet_without_rows_or_a_range_that_holds():
    assert bets(BURN_IN, [0.1] * 4, 4)[0] is None
    assert bets(1000, [0.1] * 4, 4, declared=(0.0, 0.5))[0] is None, "a reward of 1 lies outside"
    assert bets(1000, [0.1] * 4, 4, declared=(0.0, inf))[0] is None
