"""The detector: its formula by hand, its run length by law, its memory by example."""

import numpy as np
import pytest

from croupier.models.health.detector import GRID, detect, increments


def by_hand(z):
    """Shiryaev–Roberts of each l, mixed evenly; c → 0."""
    total = 0.0
    for lam in GRID:
        m = 0.0
        for x in z:
            m = (1 + m) * np.exp(lam * x - lam**2 / 2)
        total += m / len(GRID)
    return np.log(total)


def test_the_sum_is_shiryaev_and_roberts():
    z = np.random.default_rng(1).normal(size=30)
    found = detect(z[None], np.zeros((1, 30)))
    assert found.log_m[0] == pytest.approx(by_hand(z), rel=1e-4)


def test_an_increment_is_an_e_value_for_skewed_sums():
    """Of rare clicks, n = 30 at 2 %: the normal increment would be worth more than 1 on average, Bennett's is not."""
    n, p = 30, 0.02
    k = np.arange(n + 1)
    from scipy.stats import binom

    scale = np.sqrt(n * p * (1 - p))
    z, c = (k - n * p) / scale, np.full(n + 1, 1 / scale)
    worth = (binom.pmf(k, n, p) * np.exp(increments(z[None], c[None])[:, 0])).sum(axis=1)
    normal = (binom.pmf(k, n, p) * np.exp(GRID[:, None] * z - GRID[:, None] ** 2 / 2)).sum(axis=1)
    assert (worth <= 1 + 1e-9).all()
    assert normal.max() > 1.5


def test_the_average_run_length_is_at_least_as_stated():
    """At 1/α = 200 a run of 200 sound hours ends with an alarm standing in at most E[M]/200 of the cases, and the first
    alarm is no earlier than 200 hours, on average."""
    rng, alpha, first = np.random.default_rng(2), 1 / 200, []
    for _ in range(60):
        z, t = rng.normal(size=1500), 1500
        steps = increments(z[None], np.zeros((1, 1500)))[:, 0]
        m = np.full(len(GRID), -np.inf)
        for i in range(1500):
            m = np.logaddexp(m, 0.0) + steps[:, i]
            if np.logaddexp.reduce(m) - np.log(len(GRID)) >= -np.log(alpha):
                t = i + 1
                break
        first.append(t)
    assert np.mean(first) >= 200
    standing = detect(rng.normal(size=(400, 168)), np.zeros((400, 168))).log_m >= np.log(20_000)
    assert standing.mean() <= 168 / 20_000 + 0.01


@pytest.mark.parametrize(("shift", "within"), [(1.0, 6), (3.0, 1)])
def test_a_change_is_found_with_its_time(shift, within):
    z = np.random.default_rng(3).normal(size=(1, 100))
    z[0, 70:] += shift
    found = detect(z, np.zeros((1, 100)))
    assert found.log_m[0] > np.log(10_000)
    assert abs(found.since[0] - 70) <= within


def test_one_absurd_hour_of_long_ago_has_been_forgotten():
    z = np.zeros((1, 100))
    z[0, 20] = 50.0
    assert detect(z, np.zeros((1, 100))).log_m[0] < np.log(1000)
