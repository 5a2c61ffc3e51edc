"""Logs on which the gate must refuse, each for the right reason. The candidate is truly better in all of them."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from croupier.features.spec import GateSpec
from croupier.models.exploration import with_floor
from croupier.models.gate.evaluation import evaluate
from croupier.models.ope import self_tests
from croupier.models.simulation.populations import from_classes, interactions, load


class Served:
    """A policy whose pmf over the population's rows is given: rows are found again by their first context column."""

    name = "served"

    def __init__(self, population, pmf):
        self.order = np.argsort(population.batch.context[:, 0], kind="stable")
        self.key, self.table = population.batch.context[self.order, 0], pmf[self.order]

    def pmf(self, batch):
        return self.table[np.searchsorted(self.key, batch.context[:, 0])]


@cache
def population(explored=0.2):
    """scikit-learn's digits, lift +25 %; the first column is made unique, so that rows can be told apart."""
    x, y, name = load(None)
    made = from_classes(x, y, name=name, lift=0.25, explored=explored, models=1)
    made.batch.context[:, 0] = np.arange(len(x)) / len(x)
    return made


def verdict(log, made=None):
    made = made or population()
    policies = {"champion": Served(made, made.champion), "candidate": Served(made, made.candidate)}
    return evaluate(policies, log, champion="champion", floor=0.0, gate=GateSpec()).policies["candidate"].verdict


def drawn(seed=0, rows=20_000, made=None):
    return interactions(made or population(), rows, np.random.default_rng(seed))


@pytest.mark.slow
def test_honest_logs_promote():
    """All but those that the self-tests' 1 % of false alarms hits."""
    found = [verdict(drawn(seed)) for seed in range(4)]
    assert sum(v.decision == "promote" for v in found) >= 3
    assert all(v.failed in ((), ("propensity_self_test",)) for v in found)


@pytest.mark.slow
def test_shuffled_rewards_show_no_lift():
    log = drawn(1)
    found = verdict(replace(log, reward=np.random.default_rng(2).permutation(log.reward)))
    assert found.decision != "promote"
    assert "lift_lower" in found.failed


@pytest.mark.slow
def test_propensities_of_another_release():
    log, other = drawn(3), population().candidate
    row = np.searchsorted(np.sort(population().batch.context[:, 0]), log.batch.context[:, 0])
    pmf = with_floor(other[np.argsort(population().batch.context[:, 0])][row], log.batch.mask, 0.2)
    found = verdict(replace(log, pmf=pmf, propensity=pmf[np.arange(len(log)), log.chosen]))
    assert found.decision != "promote"
    assert "propensity_self_test" in found.failed


@pytest.mark.slow
def test_a_candidate_outside_the_support():
    log, made = drawn(4), population()
    wanted = made.candidate.mean(axis=0).argmax()
    pmf = np.where(np.arange(10) == wanted, 0.0, log.pmf)
    pmf /= pmf.sum(axis=1, keepdims=True)
    keep = log.chosen != wanted
    found = verdict(replace(log, pmf=pmf, propensity=pmf[np.arange(len(log)), log.chosen])[keep])
    assert found.decision != "promote"
    assert "support" in found.failed


@pytest.mark.slow
def test_a_leaked_label():
    """A feature computed after the decision: the reward with noise on it."""
    log = drawn(5)
    context = log.batch.context.copy()
    context[:, 5] = log.reward + np.random.default_rng(6).normal(0, 0.3, len(log))
    found = verdict(replace(log, batch=replace(log.batch, context=context)))
    assert found.decision != "promote"
    assert "features_before_decision" in found.failed


@pytest.mark.parametrize(("true", "logged", "least", "most"), [(0.11, 0.10, 0.95, 1.0), (0.10, 0.10, 0.0, 0.03)])
def test_a_floor_logged_wrong_is_caught_and_a_true_one_is_not(true, logged, least, most):
    """ε-greedy over 10 arms, 20,000 rows, 300 logs: ε .11 logged as .10 found in ≥ 95 %; true logs in ≤ 3 %."""
    log, k, n = drawn(7, rows=20_000), 10, 20_000
    caught = 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        best = rng.integers(k, size=n)
        chosen = np.where(rng.random(n) < true, rng.integers(k, size=n), best)
        pmf = np.full((n, k), logged / k)
        pmf[np.arange(n), best] += 1 - logged
        fake = replace(log, pmf=pmf, chosen=chosen, propensity=pmf[np.arange(n), chosen])
        caught += self_tests.propensity(fake) < 0.01
    assert least <= caught / 300 <= most
