"""Pseudoinverse weights against closed forms, and the reward model against its promise."""

import numpy as np
import pytest

from croupier.models.slates import pseudoinverse, reward_model
from croupier.models.slates.enumerated import Enumerated, pseudo, rounds
from croupier.models.slates.enumeration import every_slate, marginals
from croupier.models.slates.policies import PlackettLuce
from tests.models.slates.small_world import LOG, SLATES, SLOTS, TARGET, P, additive


def test_gram_of_a_uniform_log_is_that_of_the_paper():
    """1/K on the diagonal, 1 / (K (K − 1)) for two arms in two slots, 0 for two arms in one slot and an arm in two
    (Swaminathan et al. 2017, uniform exploration without repetitions)."""
    K, k = 4, 2
    slates = every_slate(K, k)
    found = pseudoinverse.gram(np.full(len(slates), 1 / len(slates)), slates, K).reshape(k, K, k, K)
    same = np.eye(K)
    assert found[0, :, 0] == pytest.approx(same / K)
    assert found[0, :, 1] == pytest.approx((1 - same) / (K * (K - 1)))


def test_one_slot_is_ips_and_weights_average_one():
    policy, other = (
        PlackettLuce.of_scores(np.random.default_rng(s).normal(size=(2, 4)), np.ones((2, 4), bool)) for s in (0, 1)
    )
    log, target = Enumerated(policy=policy, k=1), Enumerated(policy=other, k=1)
    assert pseudo(log, target) == pytest.approx(target.joint / log.joint)
    assert float(P @ pseudo(LOG, TARGET)[0]) == pytest.approx(1.0, abs=1e-12)


def test_independent_slots_have_the_closed_form():
    """Over slates whose second slot hardly notices the first, G is nearly 1 − k + Σ ratios, exact for a product."""
    K, k = 5, 2
    slates = every_slate(K, k)
    apart = (slates[:, 0] < 2) & (slates[:, 1] >= 2)  # the first slot takes arms 0, 1; the second 2, 3, 4
    rng = np.random.default_rng(0)
    joint = []
    for _ in range(2):
        first, second = rng.dirichlet(np.ones(2)), rng.dirichlet(np.ones(3))
        joint.append(
            np.where(apart, np.append(first, [0] * 3)[slates[:, 0]] * np.append([0] * 2, second)[slates[:, 1]], 0)
        )
    log, target = np.array(joint)[:, None, :]
    at = [marginals(j, K, k)[0] for j in (log, target)]
    ratio = at[1][np.arange(k), slates][apart] / at[0][np.arange(k), slates][apart]
    assert pseudoinverse.weights(log, at[1][None])[0][apart] == pytest.approx(1 - k + ratio.sum(axis=1))


def test_what_the_log_cannot_tell_is_refused():
    slates = every_slate(4, 2)
    joint = np.where(slates[:, 0] == 3, 0.0, 1.0)  # arm 3 is never first
    even = np.full((1, 2, 4), 0.25)
    with pytest.raises(ValueError, match="that the log's slates do not tell"):
        pseudoinverse.weights((joint / joint.sum())[None], even)


def logged(n, seed):
    rng = np.random.default_rng(seed)
    group = np.zeros(n, np.int64)
    slate = LOG.draw(group, rng)
    reward = (rng.random((n, SLOTS)) < additive()[slate]).astype(float)
    return {"group": group, "slate": slate, "reward": reward, "fold": np.arange(n) % 4}


def test_no_slates_own_reward_is_in_its_prediction():
    log = logged(400, 0)
    weights = pseudo(LOG, TARGET)
    before = rounds(LOG, TARGET, weights, **log)
    changed = {**log, "reward": log["reward"].copy()}
    changed["reward"][0] += 100.0
    after = rounds(LOG, TARGET, weights, **changed)
    mine = log["fold"] == 0
    assert np.array_equal(after.predicted[mine], before.predicted[mine])
    assert np.array_equal(after.direct[mine], before.direct[mine])
    assert (after.predicted[~mine] != before.predicted[~mine]).any()


def test_the_reward_model_learns_what_a_slate_earns_from_a_slot_on():
    """Of the log's own policy, whose arms above a slot are what the model averages over."""
    found = rounds(LOG, LOG, pseudo(LOG, LOG), **logged(40_000, 1))
    truth = float(P @ additive().sum(axis=1))
    assert found.direct[:, 0].mean() == pytest.approx(truth, abs=0.03)
    assert found.predicted[:, 2].mean() == pytest.approx(float(P @ additive()[:, 2]), abs=0.02)


def test_one_part_alone_is_refused():
    with pytest.raises(ValueError, match="expected two parts or more"):
        reward_model.cross_fit(
            SLATES,
            additive(),
            np.zeros(len(SLATES), int),
            lambda slot: np.ones((len(SLATES), 5)),
            fold=np.zeros(60, int),
        )
