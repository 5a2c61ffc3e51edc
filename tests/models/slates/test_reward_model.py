"""Q̂ of a slot against a plain loop: backward induction, shrunken means, each part predicted by the others."""

import numpy as np
import pytest

from croupier.models.slates.reward_model import SHRUNK, cross_fit

N, K, SLOTS, GROUPS = 60, 4, 2, 3
RNG = np.random.default_rng(5)
GROUP, FOLD = RNG.integers(0, GROUPS, N), np.arange(N) % 3
PLACE = np.array([RNG.permutation(K)[:SLOTS] for _ in range(N)])
REWARD, PMFS = RNG.normal(1, 1, (N, SLOTS)), RNG.dirichlet(np.ones(K), (SLOTS, N))


def mean(values, wider):
    """A mean, with the wider one counted as SHRUNK slates."""
    return (sum(values) + SHRUNK * wider) / (len(values) + SHRUNK)


def plain(held):
    """(predicted, direct) of the rows of one part, arm by arm."""
    others = [i for i in range(N) if FOLD[i] != held]
    below, predicted, direct = [0.0] * N, np.zeros((N, SLOTS)), np.zeros((N, SLOTS))
    for slot in (1, 0):
        y = {i: REWARD[i, slot] + below[i] for i in range(N)}
        whole = sum(y[i] for i in others) / len(others)
        q = np.zeros((GROUPS, K))
        for a in range(K):
            shown = [i for i in others if PLACE[i, slot] == a]
            arm = mean([y[i] for i in shown], whole)
            for g in range(GROUPS):
                q[g, a] = mean([y[i] for i in shown if GROUP[i] == g], arm)
        for i in range(N):
            predicted[i, slot] = q[GROUP[i], PLACE[i, slot]]
            below[i] = direct[i, slot] = sum(PMFS[slot, i, a] * q[GROUP[i], a] for a in range(K))
    return predicted, direct


def test_each_part_is_predicted_by_the_others_as_a_plain_loop_does():
    predicted, direct = cross_fit(PLACE, REWARD, GROUP, lambda slot: PMFS[slot], fold=FOLD)
    for held in range(3):
        mine, (expected, whole) = held == FOLD, plain(held)
        assert predicted[mine] == pytest.approx(expected[mine], abs=1e-12)
        assert direct[mine] == pytest.approx(whole[mine], abs=1e-12)
