"""Estimators recover known truth: a world whose click probabilities are given, logged by a policy that is not uniform.

Without exploration there would be nothing to recover; without true propensities, IPS would not recover it.
"""

import numpy as np
import pytest

from features.batch import Batch, Catalogue, Interactions
from models import off_policy as op
from models.evaluation import rounds_of
from models.exploration import softmax, with_floor
from models.off_policy import Moments
from models.reward_model import cross_fit

K, D, N = 8, 5, 30_000


@pytest.fixture(scope="module")
def world():
    """Click probability is a logistic of a product of features (no linear model has it), 2 % to 60 %."""
    rng = np.random.default_rng(2026)
    x = rng.normal(size=(N, D)).astype(np.float32)
    arms = rng.normal(size=(K, D)).astype(np.float32)
    truth = 0.02 + 0.58 / (1 + np.exp(1.0 - x @ arms.T - np.sin(2 * x[:, :1]) * arms[:, 0]))
    mask = np.ones((N, K), bool)
    pmf = with_floor(softmax(-(x @ arms.T), mask, 2.0), mask, 0.1)  # the log prefers worse arms
    chosen = (rng.random(N)[:, None] > np.cumsum(pmf, axis=1)).sum(axis=1)
    row = np.arange(N)
    batch = Batch(
        context=x, arm=np.tile(np.arange(K), (N, 1)), mask=mask, pair=np.zeros((N, K, 0), np.float32),
        catalogue=Catalogue(ids=tuple("abcdefgh"), features=arms, digest=""),
    )  # fmt: skip
    log = Interactions(
        batch=batch, chosen=chosen, reward=(rng.random(N) < truth[row, chosen]).astype(float),
        propensity=pmf[row, chosen], pmf=pmf, at=row, unit=np.arange(N, dtype=np.uint64), weight=np.ones(N),
    )  # fmt: skip
    targets = {
        "uniform": np.full((N, K), 1 / K),
        "softmax": with_floor(softmax(x @ arms.T, mask, 1.0), mask, 0.05),
        "one arm": with_floor(np.eye(K)[np.full(N, 3)], mask, 0.02),
    }
    return log, truth, targets, cross_fit(log, seed=0)


@pytest.mark.parametrize("policy", ["uniform", "softmax", "one arm"])
@pytest.mark.parametrize("estimator", ["ips", "snips", "dr", "sndr"])
def test_within_three_standard_errors_of_truth(world, policy, estimator):
    log, truth, targets, predicted = world
    moments = Moments.of(getattr(op, estimator)(rounds_of(log, targets[policy], predicted)))
    true_value = float((targets[policy] * truth).sum(axis=1).mean())
    assert abs(moments.mean - true_value) < 3 * moments.standard_error
    assert moments.standard_error < 0.15 * true_value


def test_dr_is_tighter_than_ips_and_dm_is_biased(world):
    log, truth, targets, predicted = world
    rounds = rounds_of(log, targets["softmax"], predicted)
    dr, ips, dm = (Moments.of(f(rounds)) for f in (op.dr, op.ips, op.dm))
    assert dr.standard_error < 0.85 * ips.standard_error
    true_value = float((targets["softmax"] * truth).sum(axis=1).mean())
    assert abs(dm.mean - true_value) > 3 * dm.standard_error  # its own spread says nothing of its bias


def test_wrong_propensities_are_not_recovered(world):
    """The test can fail: propensities of a uniform log put on this one miss the truth by many standard errors."""
    log, truth, targets, predicted = world
    r = rounds_of(log, targets["softmax"], predicted)
    wrong = op.Rounds(reward=r.reward, propensity=np.full(N, 1 / K), target=r.target, predicted=r.predicted,
                      direct=r.direct, thinning=r.thinning)  # fmt: skip
    moments = Moments.of(op.ips(wrong))
    assert abs(moments.mean - float((targets["softmax"] * truth).sum(axis=1).mean())) > 10 * moments.standard_error
