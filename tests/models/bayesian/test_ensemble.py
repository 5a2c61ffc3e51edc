"""Ensembles: their pmf is the share of their members', and they learn."""

import numpy as np
import pytest

from croupier.models import exploration
from croupier.models.bayesian.ensemble import Bootstrap, MCDropout, Resampled
from croupier.models.simulation.synthetic import LinearWorld

WORLD = LinearWorld.make(4)
LOG = [WORLD.log(1500, 1), WORLD.log(1500, 2)]
BATCH = WORLD.requests(1000, np.random.default_rng(9))
TRUTH = WORLD.expected(BATCH)


def share_of_best(learner):
    """0 for uniform, 1 for the best policy there is."""
    base = (exploration.uniform(BATCH.mask) * TRUTH).sum(axis=1).mean()
    best = np.where(BATCH.mask, TRUTH, 0).max(axis=1).mean()
    return ((learner.pmf(BATCH) * TRUTH).sum(axis=1).mean() - base) / (best - base)


def test_a_resample_is_poisson_and_repeats_itself():
    first, again = (list(Resampled(LOG, 5, 2)) for _ in range(2))
    assert all((a.weight == b.weight).all() and (a.at == b.at).all() for a, b in zip(first, again, strict=True))
    other = list(Resampled(LOG, 5, 3))
    assert len(other[0]) != len(first[0])
    total = sum(chunk.weight.sum() for i in range(20) for chunk in Resampled(LOG, 5, i))
    assert total / 60_000 == pytest.approx(1, abs=0.02)
    assert np.mean([len(chunk) / 1500 for chunk in first]) == pytest.approx(1 - np.exp(-1), abs=0.03)


@pytest.mark.parametrize("base", ["vw_cb_adf", "lin_ucb"])
def test_bootstrap_votes_are_its_members(base):
    parameters = {"alpha": 0.0} if base == "lin_ucb" else None
    learner = Bootstrap(base=base, members=8, parameters=parameters).learn(LOG, seed=3)
    pmfs = np.stack([member.pmf(BATCH) for member in learner.members])
    assert set(np.unique(pmfs)) == {0.0, 1.0}
    np.testing.assert_allclose(learner.pmf(BATCH), pmfs.mean(axis=0), atol=1e-15)
    assert len({pmf.tobytes() for pmf in pmfs}) == 8
    assert 0.6 < share_of_best(learner) < 1


def test_dropout_votes_are_its_masks():
    learner = MCDropout(epochs=10, draws=128, dropout=0.3).learn(LOG, seed=3)
    assert 0.6 < share_of_best(learner) < 1
    pmf = learner.pmf(BATCH)
    np.testing.assert_allclose(pmf * 128, np.round(pmf * 128), atol=0.5)
    masks = np.random.default_rng([3, 17]).random((50, 128)) < 0.7
    weights = learner.state["out.weight"][0][:, None] * masks / 0.7
    scores = np.zeros((128, *BATCH.mask.shape))
    for k in range(BATCH.mask.shape[1]):
        rows = BATCH.mask[:, k]
        phi = learner.features(BATCH[rows], np.full(rows.sum(), k))
        scores[:, rows, k] = (phi[:, :-1] @ weights).T
    assert np.abs(exploration.votes(scores, BATCH.mask) - pmf).max() < 2 / 128


def test_bad_values_are_named():
    with pytest.raises(ValueError, match="expected another policy"):
        Bootstrap(base="bootstrap")
    with pytest.raises(ValueError, match="expected a share in"):
        MCDropout(dropout=1.0)
    with pytest.raises(TypeError, match="dropuot"):
        MCDropout(dropuot=0.1)
