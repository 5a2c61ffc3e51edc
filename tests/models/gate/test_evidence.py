"""Unseen draws cannot flatter: a variance from pmfs where the sample's own rests on a handful of rows."""

import numpy as np
import pytest

from croupier.features.batch import Batch, Catalogue, Interactions
from croupier.models.gate.bounds.steadied import PRIOR_ROWS, divergence, steadied
from croupier.models.gate.evidence import unsupported
from croupier.models.ope.estimators import Moments, design_effect
from croupier.models.ope.intervals import asymptotic_cs


def log_of(pmf, chosen, reward):
    n, k = pmf.shape
    batch = Batch(
        context=np.zeros((n, 1), np.float32),
        arm=np.tile(np.arange(k), (n, 1)),
        mask=np.ones((n, k), bool),
        pair=np.zeros((n, k, 0), np.float32),
        catalogue=Catalogue(ids=tuple(map(str, range(k))), features=np.eye(k, dtype=np.float32), digest=""),
    )
    return Interactions(
        batch=batch,
        chosen=chosen,
        reward=reward,
        propensity=pmf[np.arange(n), chosen],
        pmf=pmf,
        at=np.arange(n),
        unit=np.arange(n, dtype=np.uint64),
        weight=np.ones(n),
    )


def test_divergence_is_the_expected_square_of_the_weights():
    rng = np.random.default_rng(0)
    pmf, a, b = (rng.dirichlet(np.ones(4), 3) for _ in range(3))
    log = log_of(pmf, np.zeros(3, np.int64), np.zeros(3))
    by_hand = [sum((a[i, k] - b[i, k]) ** 2 / pmf[i, k] for k in range(4)) for i in range(3)]
    assert divergence(log, a, b)[:, 0] == pytest.approx(by_hand)
    weight = ((a[0] - b[0]) / pmf[0])[rng.choice(4, 200_000, p=pmf[0])]
    assert np.mean(weight**2) == pytest.approx(divergence(log, a, b)[0, 0], rel=0.05)
    fourth = [sum((a[i, k] - b[i, k]) ** 4 / pmf[i, k] ** 3 for k in range(4)) for i in range(3)]
    assert divergence(log, a, b)[:, 1] == pytest.approx(fourth)


def test_arms_the_log_could_not_draw_count_as_unsupported_not_as_infinite():
    pmf = np.array([[0.5, 0.5, 0.0]])
    log = log_of(pmf, np.array([0]), np.array([1.0]))
    candidate = np.array([[0.2, 0.2, 0.6]])
    assert unsupported(log, candidate) == pytest.approx(0.6)
    assert np.isfinite(divergence(log, candidate)).all()


def test_many_carrying_rows_outweigh_the_prior_and_few_do_not():
    rng = np.random.default_rng(1)
    values, reward = rng.normal(size=5000), rng.random(5000)
    assert steadied(values, np.full((5000, 2), 50.0), reward).variance == pytest.approx(values.var(), rel=0.05)
    lone = np.zeros(5000)
    lone[7] = 1.0  # one row carries everything
    prior = 50.0 * reward.var()
    expected = (lone.var(ddof=1) + PRIOR_ROWS * prior) / (1 + PRIOR_ROWS)
    assert steadied(lone, np.full((5000, 2), 50.0), reward).variance == pytest.approx(expected, rel=1e-2)


def test_a_candidate_with_a_rare_disaster_is_not_promoted_for_it():
    """+.003 on most rows, −.7 on 4 in 1,000, null on the whole: the plain sequence is fooled, the steadied one not."""
    rng, plain, steady, runs = np.random.default_rng(2), 0, 0, 200
    for _ in range(runs):
        rare = rng.random(1000) < 0.004
        drawn = rare & (rng.random(1000) < 1 / 7)  # the log, uniform over 7 arms, seldom shows it
        values = np.where(drawn, -0.7 * 7, 0.0) + rng.normal(0.0028, 0.004, 1000)
        gap = np.column_stack([np.where(rare, 2 * 0.7**2 * 7, 1e-5), np.where(rare, 2 * 0.7**4 * 7**3, 1e-9)])
        reward = (rng.random(1000) < 0.6).astype(float)
        plain += asymptotic_cs(Moments.of(values), alpha=0.05).lower > 0
        steady += asymptotic_cs(steadied(values, gap, reward), alpha=0.05).lower > 0
    assert plain > 0.3 * runs
    assert steady <= 0.02 * runs


def test_rounds_of_a_unit_that_are_copies_count_once():
    rng = np.random.default_rng(3)
    values, unit = rng.normal(size=2000), np.arange(2000)
    gap, reward = np.ones((8000, 2)), rng.random(8000)
    alone = steadied(values, gap[:2000], reward[:2000], unit)
    copied = steadied(np.repeat(values, 4), gap, reward, np.repeat(unit, 4))
    assert copied.variance / copied.n == pytest.approx(alone.variance / alone.n, rel=0.02)
    assert design_effect(values, unit) == 1.0


def test_a_candidate_that_suits_half_of_the_units_is_not_promoted_for_the_half_that_came():
    """200 units of 50 rounds; it earns +.15 with half of all units and −.15 with the others: null over units to come.
    Rounds taken as independent promote it on every eighth log."""
    rng, plain, by_unit, runs, unit = np.random.default_rng(4), 0, 0, 300, np.repeat(np.arange(200), 50)
    pmf, candidate, champion = (np.tile(p, (10_000, 1)) for p in ([0.5, 0.5], [0.0, 1.0], [0.5, 0.5]))
    for _ in range(runs):
        likes = rng.choice([0.2, 0.8], 200)[unit]  # its click rate on arm 1, .5 on arm 0
        chosen = rng.integers(0, 2, 10_000)
        reward = (rng.random(10_000) < np.where(chosen == 1, likes, 0.5)).astype(float)
        values = (candidate[:, 1] - champion[:, 1]) * np.where(chosen == 1, 2, -2) * (reward - 0.5)
        gap = divergence(log_of(pmf, chosen, reward), candidate, champion)
        plain += asymptotic_cs(steadied(values, gap, reward), alpha=0.05).lower > 0
        by_unit += asymptotic_cs(steadied(values, gap, reward, unit), alpha=0.05).lower > 0
    assert plain > 0.1 * runs
    assert by_unit <= 0.05 * runs
