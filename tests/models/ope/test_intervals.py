"""Intervals by hand, by law (coverage under repeated looks), and at their edges."""

from math import inf, log, sqrt

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import f, norm

from croupier.models.ope.estimators import Moments
from croupier.models.ope.intervals import (
    asymptotic_cs,
    bootstrap,
    boundary,
    clt,
    cressie_read,
    empirical_bernstein_cs,
    rho_squared,
    rows_until,
)


def test_clt_by_hand():
    m = Moments.of(np.array([1.0, 2.0, 3.0, 4.0]))
    half = norm.ppf(0.95) * sqrt(5 / 3 / 4)
    b = clt(m, alpha=0.05)
    assert (b.lower, b.upper) == (pytest.approx(2.5 - half), pytest.approx(2.5 + half))


def test_asymptotic_cs_is_the_published_formula():
    n, alpha = 3000.0, 0.05
    rho2 = rho_squared(alpha, 5000.0)
    expected = sqrt(2 * (n * rho2 + 1) / (n * n * rho2) * log(1 + sqrt(n * rho2 + 1) / (2 * alpha)))
    assert boundary(n, alpha=alpha) == pytest.approx(expected, rel=1e-12)
    # the published approximation of the same tuning, with 2 alpha for one side
    assert rho2 * 5000 == pytest.approx(-2 * log(0.1) + log(-2 * log(0.1) + 1), rel=0.06)


def test_sequence_is_tightest_where_tuned():
    ratio = [boundary(n, alpha=0.05, tuned_at=5000) * sqrt(n) for n in (50, 5000, 500_000)]
    assert ratio[1] < ratio[0]
    assert ratio[1] < ratio[2]
    assert 2.6 < ratio[1] < 2.9  # 1.7 times the CLT's 1.645: the price of looking at any time


@pytest.mark.medium
def test_coverage_under_twenty_looks():
    """Skewed values with true mean 0: looked at 20 times, the sequence errs in ≤ 5 %, the CLT in far more."""
    rng, looks, wrong_cs, wrong_clt = np.random.default_rng(5), range(250, 5001, 250), 0, 0
    for _ in range(300):
        x = rng.exponential(size=5000) - 1.0
        lowers = [
            (asymptotic_cs(m, alpha=0.05).lower, clt(m, alpha=0.05).lower) for m in (Moments.of(x[:n]) for n in looks)
        ]
        wrong_cs += any(a > 0 for a, _ in lowers)
        wrong_clt += any(b > 0 for _, b in lowers)
    assert wrong_cs <= 15
    assert wrong_clt >= 45


def test_empirical_bernstein_covers_and_shrinks():
    rng, misses, widths = np.random.default_rng(6), 0, []
    for _ in range(200):
        x = (rng.random(2000) < 0.1) * 10.0  # heavy weights; mean 1
        b = empirical_bernstein_cs(x, alpha=0.05, low=0.0, high=10.0)
        misses += b.lower > 1.0 or b.upper < 1.0
        widths.append(b.upper - b.lower)
    assert misses <= 20
    assert np.mean(widths) < 0.9
    short = empirical_bernstein_cs((rng.random(200) < 0.1) * 10.0, alpha=0.05, low=0.0, high=10.0)
    assert short.upper - short.lower > 2 * np.mean(widths)


def test_empirical_bernstein_equals_a_plain_loop():
    x, alpha = np.random.default_rng(7).random(50) * 4, 0.1
    mean, variance, total, spent, lams = 0.5, 0.25, 0.0, 0.0, 0.0
    count, s, squares = 1, 0.5, 0.25
    for t, v in enumerate(x / 4, start=1):
        lam = min(sqrt(2 * log(1 / alpha) / (variance * t * log(1 + t))), 0.75)
        total, lams = total + lam * v, lams + lam
        spent += (v - mean) ** 2 * (-log(1 - lam) - lam)
        s, count = s + v, count + 1
        mean = s / count
        squares += (v - mean) ** 2
        variance = squares / count
    bound = 4 * (total - spent - log(1 / alpha)) / lams
    assert empirical_bernstein_cs(x, alpha=alpha, low=0.0, high=4.0).lower == pytest.approx(bound, rel=1e-10)


def test_edges_are_infinite_not_wrong():
    one = Moments.of(np.array([3.0]))
    assert asymptotic_cs(one, alpha=0.05).lower == -inf
    assert clt(one, alpha=0.05).upper == inf
    silent = asymptotic_cs(Moments.of(np.zeros(5000)), alpha=0.05)  # no click yet is no proof of zero
    assert (silent.lower, silent.upper) == (-inf, inf)
    broken = empirical_bernstein_cs(np.array([0.0, 2.0]), alpha=0.05, low=0.0, high=1.0)
    assert broken.upper == inf
    assert broken.lower > -inf


def test_bootstrap_agrees_with_the_clt_on_well_behaved_values():
    x = np.random.default_rng(8).normal(size=2000)
    a, b = bootstrap(x, alpha=0.025, rng=np.random.default_rng(9)), clt(Moments.of(x), alpha=0.025)
    assert (a.lower, a.upper) == (pytest.approx(b.lower, abs=0.005), pytest.approx(b.upper, abs=0.005))


def test_cressie_read_is_the_optimum_it_stands_for():
    """Least Σ q w r with Σ q = 1, Σ q w = 1 and Σ (n q − 1)² no more than its least plus F's quantile, by a solver that
    knows only this; the closed form is the same, for the unseen row that is worse."""
    rng = np.random.default_rng(3)
    w, r = rng.choice([0.2, 1.0, 3.0], 12), rng.random(12)
    lows, highs = [], []
    for fake in (0.0, 3.0):
        for worst, sign, ends in ((0.0, 1.0, lows), (1.0, -1.0, highs)):
            weight, value = np.append(w, fake), np.append(w * r, fake * worst)
            n, even = len(weight), np.full(len(weight), 1 / len(weight))
            feasible = [
                {"type": "eq", "fun": lambda q: q.sum() - 1},
                {"type": "eq", "fun": lambda q, weight=weight: q @ weight - 1},
            ]

            def cost(q, n=n):
                return float(np.square(n * q - 1).sum())

            least = minimize(cost, even, constraints=feasible, tol=1e-14).fun
            budget = least + f.isf(0.1, 1, len(w))
            near = {"type": "ineq", "fun": lambda q, budget=budget: budget - cost(q)}
            found = minimize(
                lambda q, s=sign, v=value: s * float(q @ v), even, constraints=[*feasible, near], tol=1e-12
            )
            ends.append(sign * found.fun)
    bounds = cressie_read(w, r, alpha=0.05, low=0.0, high=1.0)
    assert (bounds.lower, bounds.upper) == (
        pytest.approx(max(0, min(lows)), abs=1e-5),
        pytest.approx(max(highs), abs=1e-5),
    )


@pytest.mark.medium
def test_cressie_read_holds_where_the_clt_of_ips_does_not():
    """One row in twenty has weight 20: 300 rows are worth 15. Truth .9; each side may err in 5 %."""
    missed, width = {"cressie_read": np.zeros(2), "clt": np.zeros(2)}, {"cressie_read": [], "clt": []}
    for seed in range(600):
        rng = np.random.default_rng(seed)
        w, r = 20.0 * (rng.random(300) < 0.05), (rng.random(300) < 0.9).astype(float)
        for name, bounds in (
            ("cressie_read", cressie_read(w, r, alpha=0.05, low=0.0, high=1.0)),
            ("clt", clt(Moments.of(w * r), alpha=0.05)),
        ):
            missed[name] += (bounds.lower > 0.9, bounds.upper < 0.9)
            width[name].append(bounds.upper - bounds.lower)
    assert (missed["cressie_read"] / 600 <= 0.05).all()
    assert (missed["clt"] / 600).max() > 0.08
    assert np.median(width["cressie_read"]) < 0.7 * np.median(width["clt"])


def test_rows_until_is_enough_and_not_too_much():
    m = Moments(1000.0, 0.02, 999 * 0.25)
    n = rows_until(m, 0.0, alpha=0.05)
    rng = np.random.default_rng(10)
    won = [
        asymptotic_cs(Moments(n, 0.02 + rng.normal() * 0.5 / sqrt(n), n * 0.25), alpha=0.05).lower > 0
        for _ in range(2000)
    ]
    assert 0.75 < np.mean(won) < 0.87
    assert rows_until(Moments(1000.0, 0.0, 250.0), 0.0, alpha=0.05) == inf
