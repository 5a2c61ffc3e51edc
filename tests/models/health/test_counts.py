"""Counts as evidence: their mean by law, their speed beside the bound for sums, a feed of few rewards that broke."""

import numpy as np
import pytest
from scipy.stats import poisson

from croupier.models.health.counts import RATIOS, log_e
from croupier.models.health.detector import GRID, detect, detected
from croupier.models.health.diagnosis import diagnose
from croupier.models.health.history import History
from croupier.models.health.symptom import ACT
from tests.models.health.plain_hours import hour, hours


@pytest.mark.parametrize(("n", "n0", "rate"), [(60, 120, 0.004), (60, 240, 0.05), (10, 5, 0.3)])
def test_its_mean_is_one_whatever_the_rate(n, n0, rate):
    """E[e] over all pairs of Poisson counts of one rate."""
    x, b = np.meshgrid(np.arange(80), np.arange(120))
    weight = poisson.pmf(x, n * rate) * poisson.pmf(b, n0 * rate)
    many = (np.full(x.size, float(v)) for v in (n, n0))
    n_, n0_ = many
    e = np.exp(log_e(n_, x.ravel().astype(float), n0_, b.ravel().astype(float)))
    assert (e * weight.ravel()).sum(axis=1) == pytest.approx(np.ones(len(RATIOS)), abs=1e-9)


def test_no_reward_where_some_were_due_by_hand():
    """b = 8 rewards in two weeks, none now: 8 log(1 − (1 − ρ)/3) of either sign."""
    found = log_e(np.array([60.0]), np.array([0.0]), np.array([120.0]), np.array([8.0]))[:, 0]
    np.testing.assert_allclose(found, [-8 * np.log(1 - (1 - r) / 3) for r in RATIOS])


def test_a_feed_of_few_rewards_is_missed_sooner_than_by_their_sum():
    """A fifth of a reward an hour (60 decisions at .4 %), then none: a week, two weeks before it."""
    assert len(RATIOS) == len(GRID)
    rng, due = np.random.default_rng(5), 0.24
    n, n0, b = np.full(168, 60.0), np.full(168, 120.0), rng.poisson(2 * due, 168).astype(float)
    counted = detected(log_e(n, np.zeros(168), n0, b)[:, None])
    scale = np.sqrt(due * 1.5)
    summed = detect(np.full((1, 168), due / scale), np.full((1, 168), 1 / scale))
    assert counted.log_m[0] > 20
    assert summed.log_m[0] < 12


@pytest.mark.medium
def test_an_app_of_few_clicks_is_told_that_none_come_any_more():
    """60 decisions an hour, six rewards a day each arm: a day and a half without any."""
    made = {"n": 60, "day": 0.0, "weekend_rate": 1.0, "arm_rates": [(a, 0.12) for a in "abc"]}
    before, rng = hours(22, 7, **made), np.random.default_rng(3)
    late = [hour(22 * 24 + k, rng, **made | {"lost": 1.0}) for k in range(36)]
    found = diagnose(History.of([*before, *late]))
    assert (found.level, found.cause) == (ACT, "rewards_lost"), [(s.level, s.says) for s in found.symptoms]
    assert found.symptoms[0].number == 0
    assert diagnose(History.of(before)).level != ACT
