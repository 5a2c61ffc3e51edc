"""Thompson sampling in batches beside one reward after the other: what late rewards, and one draw for a whole batch, cost.

A thousand arms with features in six dimensions, rewards linear in them with noise of standard deviation 1. `sequential`
learns each reward before the next decision. `delayed` decides a batch of B by the posterior before it, each decision by
a draw of its own (batched Thompson sampling: Kalkanli & Özgür 2021). `one draw` plays the top B arms of one draw
(Komiyama, Honda & Nakagawa 2015), and is measured against the B best arms.

    python -m tests.truth.test_batched_regret     # the table of models/retrieval/README.md
"""

import sys

import numpy as np
import pytest

from croupier.models.bayesian.base import PRIORS
from croupier.models.bayesian.posterior import Posterior, Prior
from croupier.models.retrieval.parts import TopArms, scores_of

D, ARMS, PLAYS = 6, 1_000, 3_000


def world(seed):
    """Features of arms (A, D) and their mean rewards (A,)."""
    rng = np.random.default_rng([seed, 0])
    features = rng.normal(size=(ARMS, D))
    return features, features @ rng.normal(size=D) / np.sqrt(D)


def top(features, weights, n):
    return TopArms.of(np.arange(len(features)), scores_of(features, weights), n).rows


def regret(way, size, seed, *, plays=PLAYS):
    """The regret of all plays, in units of reward; batches of `size`."""
    features, value = world(seed)
    rng, best = np.random.default_rng([seed, 1]), np.sort(value)[::-1]
    posterior, lost = Posterior.empty(D, Prior(*PRIORS["default"])), 0.0
    for _ in range(plays // size):
        if way == "one draw":
            arms, most = top(features, posterior.sample(rng, 1)[:, 0], size), best[:size].sum()
        else:
            drawn = posterior.sample(rng, size)
            arms, most = np.array([top(features, w, 1)[0] for w in drawn.T]), best[0] * size
        lost += most - value[arms].sum()
        posterior = posterior.update(features[arms], value[arms] + rng.normal(size=size))
    return float(lost)


def table(sizes, seeds, *, plays=PLAYS):
    """Mean regret by (way, size of a batch)."""
    ways = [("sequential", 1), *(("delayed", b) for b in sizes), *(("one draw", b) for b in sizes)]
    return {(way, b): np.mean([regret(way, b, seed, plays=plays) for seed in range(seeds)]) for way, b in ways}


@pytest.mark.medium
def test_rewards_that_come_in_batches_cost_little_and_random_arms_much():
    found = table([10, 50], 3, plays=500)
    lost, never = found["sequential", 1], np.mean([_at_random(seed) for seed in range(3)]) * 500
    assert lost < 0.2 * never
    assert lost < found["delayed", 10] < 0.3 * never, "each batch is played by what was known before it"
    assert found["delayed", 10] < found["delayed", 50] < 0.5 * never
    assert found["one draw", 10] < 0.3 * never


def _at_random(seed):
    """The regret of an arm at random."""
    value = world(seed)[1]
    return value.max() - value.mean()


if __name__ == "__main__":
    seeds = int([*sys.argv, 10][1])
    for (way, size), lost in table([10, 50, 250], seeds).items():
        print(f"{way:10s} {size:4d} {lost:8.1f}", flush=True)
    print(f"an arm at random {np.mean([_at_random(seed) for seed in range(seeds)]) * PLAYS:8.1f}")
