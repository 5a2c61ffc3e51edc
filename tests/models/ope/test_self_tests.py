"""Tests of a log by its own pmf: true logs pass, wrong ones do not, and one that knows less is asked less."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm

from croupier.features.batch import Batch, Catalogue, Interactions
from croupier.models.ope import self_tests
from croupier.models.ope.leaks import tested as leaks
from croupier.models.simulation.populations import from_classes, interactions, load

pytestmark = pytest.mark.medium  # a second each, or many of them: not in `make check`


@pytest.fixture(scope="module")
def population():
    x, y, name = load(None)
    return from_classes(x, y, name=name, lift=0.1, explored=0.3, models=1)


def log_of(population, seed, n=4000):
    return interactions(population, n, np.random.default_rng(seed))


def test_p_values_of_true_logs_are_spread_evenly(population):
    p = [self_tests.propensity(log_of(population, seed, 2000)) for seed in range(60)]
    assert np.mean(np.array(p) < 0.05) <= 0.12
    assert 0.3 < np.mean(np.array(p) < 0.6) < 0.85


def drawn_from(pmf, seed, logged=None):
    """A log without features whose arms are drawn from `pmf` (n, K)."""
    n, K = pmf.shape
    place = (pmf.cumsum(axis=1) < np.random.default_rng(seed).random((n, 1))).sum(axis=1)
    arms = Catalogue(ids=tuple(map(str, range(K))), features=np.zeros((K, 0), np.float32), digest="")
    batch = Batch(
        context=np.zeros((n, 0), np.float32),
        arm=np.tile(np.arange(K), (n, 1)),
        mask=np.ones((n, K), bool),
        pair=np.zeros((n, K, 0), np.float32),
        catalogue=arms,
    )
    said, zeros = pmf if logged is None else logged, np.zeros(n)
    return Interactions(
        batch=batch,
        chosen=place,
        reward=zeros,
        propensity=said[np.arange(n), place],
        pmf=said,
        at=np.arange(n),
        unit=np.arange(n, dtype=np.uint64),
        weight=np.ones(n),
    )


TRUE = {
    "a thousand arms, uniform": np.full((1000, 1000), 1e-3),
    "next to no exploration": np.tile([1 - 2e-12, 1e-12, 1e-12], (1000, 1)),
    "arms of probability zero": np.tile([0.7, 0.3, 0.0, 0.0], (1000, 1)),
    "greedy": np.tile([1.0, 0.0, 0.0], (1000, 1)),
}


@pytest.mark.parametrize("name", TRUE)
def test_a_true_log_passes_however_rare_its_arms(name):
    p = [self_tests.propensity(drawn_from(TRUE[name], seed)) for seed in range(20)]
    assert np.mean(np.array(p) < 0.05) <= 0.2
    assert min(p) > 1e-4


def test_a_log_without_spread_that_lies_is_found():
    greedy, even = TRUE["greedy"], np.tile([0.5, 0.25, 0.25], (1000, 1))
    assert self_tests.propensity(drawn_from(greedy, 0, logged=even)) < 1e-9
    skewed, halves = np.tile([0.7, 0.3, 0.0, 0.0], (1000, 1)), np.tile([0.5, 0.5, 0.0, 0.0], (1000, 1))
    assert self_tests.propensity(drawn_from(skewed, 0, logged=halves)) < 1e-9


def test_two_columns_that_say_the_same_count_once():
    x = np.random.default_rng(0).normal(0.05, 1.0, 2000)
    once = self_tests.p_value(x[:, None])
    assert self_tests.p_value(np.column_stack([x, 2 * x])) == pytest.approx(once, rel=1e-6)
    other = np.random.default_rng(1).normal(size=2000)
    assert self_tests.p_value(np.column_stack([x, other])) == pytest.approx(2 * once, rel=0.05)
    assert self_tests.p_value(np.zeros((10, 0))) == 1.0


def test_a_log_with_one_propensity_a_row_is_tested_by_it_alone(population):
    """Imported logs spread the rest evenly: the likeliest arm is then no news, and the leak test has the balance of the arms alone."""
    log = log_of(population, 1)
    rows = np.arange(len(log))
    spread = np.repeat(((1 - log.propensity) / 9)[:, None], 10, axis=1)
    spread[rows, log.chosen] = log.propensity
    partial = replace(log, pmf=spread)
    assert self_tests.knows_whole_pmf(log)
    assert not self_tests.knows_whole_pmf(partial)
    assert self_tests.propensity_values(partial).shape == (4000, 1)
    assert self_tests.propensity(partial) > 0.01
    assert self_tests.propensity(replace(partial, propensity=np.minimum(log.propensity * 1.3, 1.0))) < 0.01
    assert leaks.tested(partial).p > 0.01
    even = np.full((4000, 10), 0.1)
    assert self_tests.knows_whole_pmf(replace(log, pmf=even, propensity=np.full(4000, 0.1)))


def test_a_leak_is_found_and_named(population):
    log = log_of(population, 2)
    assert leaks.tested(log).p > 0.01
    context = log.batch.context.copy()
    context[:, 7] = log.reward + np.random.default_rng(3).normal(0, 0.3, len(log))
    found = leaks.tested(replace(log, batch=replace(log.batch, context=context)))
    p, column = found.p, found.suspect
    assert p < 1e-6
    assert column == 7
    pair = np.random.default_rng(4).normal(size=(4000, 10, 2)).astype(np.float32)
    pair[np.arange(4000), log.chosen, 1] += 0.5  # set only after the arm was drawn
    found = leaks.tested(replace(log, batch=replace(log.batch, pair=pair)))
    p, column = found.p, found.suspect
    assert p < 1e-6
    assert column == log.batch.context.shape[1] + 1


def test_calibration_pairs_probability_with_frequency(population):
    rows = self_tests.calibration(log_of(population, 5, 20_000))
    assert sum(r["pairs"] for r in rows) == 200_000
    for r in rows:
        assert abs(r["pmf"] - r["frequency"]) < 4 * np.sqrt(r["pmf"] / r["pairs"]) + 1e-3


def test_a_log_that_is_asked_often_is_refused_as_seldom_as_one_that_is_asked_once():
    """Looks at every tenth part of 20,000 draws: once in a hundred months may some look refuse a true log."""
    rng = np.random.default_rng(3)
    looks = np.arange(400, 20_001, 400)
    sums = np.cumsum(rng.normal(size=(600, len(looks))) * np.sqrt(400), axis=1)
    p = 2 * norm.sf(np.abs(sums) / np.sqrt(looks))
    often = np.array(
        [[self_tests.at_all_looks(float(one), int(n)) for one, n in zip(row, looks, strict=True)] for row in p]
    )
    assert (p < 0.01).any(axis=1).mean() > 0.05, "taken one by one, the looks refuse far too often"
    assert (often < 0.01).any(axis=1).mean() <= 0.015
    assert self_tests.at_all_looks(1e-6, 5000) < 0.01, "a wrong log is seen all the same"
    assert self_tests.at_all_looks(1.0, 5000) == 1.0
