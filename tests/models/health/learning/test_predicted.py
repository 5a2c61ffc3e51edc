"""What policies expect of the arm that was shown, in units of the reward, and the training loss beside a saved policy."""

import json

import numpy as np
import pytest

from croupier.features.store import layout
from croupier.models.baselines import Uniform
from croupier.models.bayesian.linear import LinTS
from croupier.models.bayesian.neural_linear import NeuralLinear
from croupier.models.health.learning import predicted
from croupier.models.policy import load
from croupier.models.simulation.health.linear_failure import logistic, played
from croupier.models.vw.policy import BilinearPolicy


@pytest.fixture(scope="module")
def log():
    return played(logistic(np.random.default_rng(1), lambda X, w: 0.5 * X @ w), 3000, 1)


@pytest.mark.medium
@pytest.mark.parametrize(
    "policy", [LinTS(), LinTS(heads="per_arm"), LinTS(heads="hybrid"), NeuralLinear(epochs=5), BilinearPolicy()],
    ids=["shared", "per_arm", "hybrid", "network", "vw"],
)  # fmt: skip
def test_what_is_expected_is_in_units_of_the_reward(log, policy):
    """Rewards moved and scaled move and scale what is expected of them; and it goes with the rewards."""
    learnt = policy.learn([log])
    found = predicted.expected(learnt, log)
    assert found.shape == (len(log),)
    assert found.mean() == pytest.approx(log.reward.mean(), abs=0.03)
    assert np.corrcoef(found, log.reward)[0, 1] > 0.15
    if not isinstance(policy, BilinearPolicy):
        return
    low, high = learnt.range
    i = np.arange(len(log))
    assert found == pytest.approx(high + learnt.scores(log.batch)[i, log.chosen] * (high - low))


def test_a_bayesian_heads_expectation_is_phi_times_its_mean(log):
    learnt = LinTS().learn([log])
    by_hand = learnt.reward_mean + learnt.reward_sd * learnt.features(log.batch, log.chosen) @ learnt.head.mean
    assert predicted.expected(learnt, log) == pytest.approx(by_hand)
    apart = LinTS(heads="per_arm").learn([log])
    k = 11
    arm = log.batch.catalogue.ids[log.shown[0][k]]
    phi = apart.features(log.batch[[k]], log.chosen[[k]])[0]
    mine = apart.reward_mean + apart.reward_sd * phi @ apart.heads.arms[arm].mean
    assert predicted.expected(apart, log)[k] == pytest.approx(mine)


def test_the_training_loss_is_kept_beside_the_policy(log, tmp_path):
    learnt = LinTS().learn([log])
    predicted.save(learnt, [log[:2000], log[2000:]], tmp_path)
    found = json.loads((tmp_path / layout.LOSS).read_text())
    assert found == predicted.loss_in(tmp_path)
    assert found["rows"] == len(log)
    assert found["loss"] == pytest.approx(np.mean((log.reward - predicted.expected(learnt, log)) ** 2))
    assert found["of_mean"] == pytest.approx(log.reward.var())
    assert found["loss"] < found["of_mean"]
    assert (load(tmp_path).head.mean == learnt.head.mean).all()


def test_policies_that_predict_nothing_have_no_loss(log, tmp_path):
    assert predicted.expected(Uniform(), log) is None
    assert predicted.expected(LinTS(), log) is None
    predicted.save(Uniform(), [log], tmp_path)
    assert predicted.loss_in(tmp_path) == {}
