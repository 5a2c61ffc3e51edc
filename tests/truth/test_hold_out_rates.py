"""Must-show: how often a watch rolls back what is no worse, and how soon what is worse, by its own bets.

The committed table (serving/ROLLOUT.md) has thousands of runs; here hundreds by default, with room for chance.
"""

import numpy as np
import pytest

from croupier.features.spec import RolloutSpec
from croupier.features.utc import DAY
from croupier.serving.evidence import betting
from croupier.serving.evidence.hold_out import harm_wealth, mixed
from croupier.serving.simulation.hold_out import simulate
from croupier.serving.simulation.rollout import Bernoulli

SPEC = RolloutSpec()
RUNS = [400, pytest.param(10_000, marks=pytest.mark.full)]


def chance(rate, runs):
    """Three standard errors."""
    return 3 * (rate * (1 - rate) / runs) ** 0.5


@pytest.mark.parametrize("runs", RUNS)
@pytest.mark.parametrize("per_day", [20_000, 100_000])
def test_a_release_as_good_as_its_hold_out_is_hardly_ever_rolled_back(per_day, runs):
    outcome = simulate([Bernoulli()], SPEC, per_day=per_day, runs=runs, seed=1)
    assert outcome.share() <= 0.010 + chance(0.010, runs)


@pytest.mark.parametrize("runs", RUNS)
def test_thirty_percent_worse_is_rolled_back_after_a_hundred_thousand_decisions_or_so(runs):
    outcome = simulate([Bernoulli(effect=-0.30)], SPEC, per_day=100_000, runs=runs, seed=2)
    assert np.median(outcome.after) <= 140_000
    assert (outcome.after <= 400_000).mean() >= 0.95 - chance(0.95, runs)


@pytest.mark.parametrize("runs", RUNS)
def test_what_turns_bad_after_a_week_is_found_by_bets_that_begin_anew(runs):
    worlds = [Bernoulli(effect=0.10), Bernoulli(effect=-0.30)]
    anew, once = (
        simulate(worlds, SPEC, per_day=100_000, runs=runs, seed=3, afresh=afresh).after - 700_000
        for afresh in (True, False)
    )
    assert np.median(anew) <= 220_000
    assert (anew <= 600_000).mean() >= 0.95 - chance(0.95, runs)
    assert (once <= 600_000).mean() <= 0.5, "what was bet from the beginning is too far behind"
    assert (anew <= 0).mean() <= 0.01


def test_wealth_by_hand():
    """Half from the beginning; one of two later days has begun, when a bet stood at 2: its part has grown from there."""
    now, past = np.array([np.log(8.0)]), np.array([np.log(2.0)])
    assert np.exp(mixed(now, [past], 3.0)) == pytest.approx(0.5 * 8 + 0.25 * 4 + 0.25)
    assert np.exp(mixed(now, [], 3.0)) == pytest.approx(0.5 * 8 + 0.5)
    assert np.exp(mixed(now, [past], 1.5)) == pytest.approx(0.5 * 8 + 0.5 * 4)
    assert np.exp(mixed(now, [], 0.5)) == pytest.approx(0.5 * 8 + 0.5)


@pytest.mark.medium
def test_expected_wealth_of_equals_is_one_whenever_one_stops():
    """With a baseline and a scale that are fixed before."""
    rng, n, days, runs = np.random.default_rng(6), 900, 3.0, 500
    at = np.arange(n) * (3 * DAY // n)
    wealth = np.zeros((runs, 3))
    for i in range(runs):
        y, on_trial = (rng.random(n) < 0.3).astype(float), rng.random(n) < 0.9
        known = {"v": np.full(n, 0.09), "baseline": np.full(n, 0.3), "scale": np.full(n, 1.4)}
        bets = betting.Bets(xi=(on_trial - 0.9) * (y - 0.3), **known)
        wealth[i] = [np.exp(harm_wealth(bets.head(m), at[:m], 0, days)) for m in (200, 500, 900)]
    error = wealth.std(axis=0) / np.sqrt(runs)
    assert np.abs(wealth.mean(axis=0) - 1).max() < 4 * error.max()


def test_the_parts_begin_with_the_days_that_have_rows():
    """Rows on the first and on the third day of five; the second and the fourth saw nobody."""
    rng, at = np.random.default_rng(7), np.r_[np.arange(50), 2 * DAY + np.arange(50)]
    xi = rng.normal(0, 0.1, 100)
    bets = betting.Bets(xi=xi, v=np.full(100, 0.09), baseline=np.full(100, 0.1), scale=np.full(100, 1.0))
    path = [np.cumsum(betting.increments(xi, bets.v, bets.scale, e, 0.0, harm=True)) for e in betting.HARM_EFFECTS]
    whole, tail = (np.mean([np.exp(p[99] - (p[k] if k else 0)) for p in path]) for k in (0, 49))
    expected = 0.5 * whole + 0.125 * tail + 0.375
    assert np.exp(harm_wealth(bets, at, 0, 5.0)) == pytest.approx(expected)
