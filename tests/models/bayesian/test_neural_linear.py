"""Neural-linear learns a non-linear world, its pmf is its draws' votes, and its head can be updated alone."""

from dataclasses import replace

import numpy as np
import pytest

from croupier.features.batch import Interactions
from croupier.models import exploration
from croupier.models.bayesian import base, thompson
from croupier.models.bayesian.networks.network import Training
from croupier.models.bayesian.neural_linear import NeuralLinear
from croupier.models.simulation.synthetic import LinearWorld

WORLD = LinearWorld.make(4)
LEARNER = NeuralLinear(epochs=10).learn([WORLD.log(2000, 1), WORLD.log(2000, 2)], seed=5)


def value(learner, batch, truth):
    return (learner.pmf(batch) * truth).sum(axis=1).mean()


def test_it_learns_what_pays():
    batch = WORLD.requests(2000, np.random.default_rng(9))
    truth = WORLD.expected(batch)
    base = (exploration.uniform(batch.mask) * truth).sum(axis=1).mean()
    best = np.where(batch.mask, truth, 0).max(axis=1).mean()
    assert value(LEARNER, batch, truth) > base + 0.75 * (best - base)


def test_pmf_is_the_share_of_votes_of_its_draws():
    batch = WORLD.requests(50, np.random.default_rng(3))
    weights = thompson.draws(LEARNER.head, seed=5, count=256, device="cpu")
    scores = np.full((256, *batch.mask.shape), -np.inf)
    for row, k in zip(*np.nonzero(batch.mask), strict=True):
        scores[:, row, k] = LEARNER.features(batch[[row]], np.array([k]))[0] @ weights
    reference = exploration.votes(np.where(batch.mask, scores, 0), batch.mask)
    assert np.abs(LEARNER.pmf(batch) - reference).max() <= 2 / 256  # a draw within float32 rounding of a tie may flip
    assert (LEARNER.pmf(batch) == reference).mean() > 0.98
    assert len(np.unique(reference)) > 10


def test_large_batches_are_scored_in_slices(monkeypatch):
    batch = WORLD.requests(300, np.random.default_rng(3))
    whole = LEARNER.pmf(batch)
    monkeypatch.setattr(base, "ITEMS", 4 * 256 * 7)
    assert (LEARNER.pmf(batch) == whole).all()


def test_the_fast_loop_reaches_the_slow_loops_posterior():
    """Updating the head row by row with `features` and `standardise` equals rebuilding it from all rows."""
    log, more = WORLD.log(2000, 1), WORLD.log(40, 7)
    phi = LEARNER.features(more.batch, more.chosen)
    head = LEARNER.head
    for i in range(len(more)):
        head = head.update(phi[i : i + 1], LEARNER.standardise(more.reward[i : i + 1]))
    updated = LEARNER.with_head(head)
    at_once = LEARNER.head.update(phi, LEARNER.standardise(more.reward))
    np.testing.assert_allclose(updated.head.mean, at_once.mean, rtol=1e-9)
    assert updated.head.step == LEARNER.head.step + 40 == 4040
    assert (updated.pmf(log.batch) != LEARNER.pmf(log.batch)).any()
    assert updated.layers is LEARNER.layers


def test_posterior_is_rebuilt_from_all_rows():
    logs = [WORLD.log(2000, 1), WORLD.log(2000, 2)]
    rebuilt = [LEARNER.features(log.batch, log.chosen) for log in logs]
    A = sum(phi.T @ phi for phi in rebuilt)
    np.testing.assert_allclose(LEARNER.head.moments.A, A, rtol=1e-5, atol=1e-3)
    reward = np.concatenate([log.reward for log in logs])
    assert LEARNER.reward_mean == pytest.approx(reward.mean(), abs=1e-12)
    assert LEARNER.reward_sd == pytest.approx(reward.std(), abs=1e-12)
    np.testing.assert_allclose(
        LEARNER.head.moments.b,
        sum(phi.T @ ((log.reward - reward.mean()) / reward.std()) for phi, log in zip(rebuilt, logs, strict=True)),
        rtol=1e-4,
        atol=1e-2,
    )


def test_warm_start_goes_on_from_the_weights():
    warm = NeuralLinear(epochs=0, warm_start=True)
    warm.state = LEARNER.state
    again = warm.learn([WORLD.log(100, 3)], seed=8)
    assert len(LEARNER.state) == 5
    for key, value in LEARNER.state.items():
        assert (again.state[key] == value).all()


def test_wrong_sizes_and_bad_values_are_named():
    with pytest.raises(ValueError, match=r"found \(context, arm, pair\) sizes \(9, 4, 2\), expected \(3, 4, 2\)"):
        LEARNER.pmf(LinearWorld.make(1, d_u=9).requests(3, np.random.default_rng(0)))
    bad: Interactions = WORLD.log(5, 1)
    bad.reward[2] = np.inf
    with pytest.raises(ValueError, match="NaN or infinity in rewards"):
        NeuralLinear().learn([bad])
    if not base.available("cuda"):
        with pytest.raises(ValueError, match="device: found 'cuda'"):
            NeuralLinear(device="cuda")
    with pytest.raises(ValueError, match="expected one of default, binary"):
        NeuralLinear(prior="beta")


def test_what_was_trained_on_a_gpu_is_served_where_there_is_none(tmp_path):
    LEARNER.save(tmp_path)
    head = (tmp_path / "policy.json").read_text()
    (tmp_path / "policy.json").write_text(head.replace('"device": "cpu"', '"device": "cuda:7"'))
    batch = WORLD.requests(5, np.random.default_rng(0))
    if not base.available("cuda"):
        assert (NeuralLinear.load(tmp_path).pmf(batch) == LEARNER.pmf(batch)).all()


def test_a_column_never_seen_says_nothing():
    """`<unk>` is 0 throughout training; a first unknown category must not meet its random starting weights."""
    from dataclasses import replace

    def blank(chunk):
        context = chunk.batch.context.copy()
        context[:, 0] = 0.0
        return replace(chunk, batch=replace(chunk.batch, context=context))

    learner = NeuralLinear(epochs=3).learn([blank(WORLD.log(500, 1))], seed=5)
    batch = blank(WORLD.log(20, 7)).batch
    marked = batch.context.copy()
    marked[:, 0] = 1.0
    assert np.array_equal(learner.pmf(replace(batch, context=marked)), learner.pmf(batch))
    seen = batch.context.copy()
    seen[:, 1] += 1.0
    assert not np.array_equal(learner.pmf(replace(batch, context=seen)), learner.pmf(batch))


@pytest.mark.parametrize(("parameters", "named"), [
    ({"batch_size": 0}, "batch_size=0"), ({"learning_rate": -1.0}, "learning_rate=-1.0"),
    ({"epoch_steps": -1}, "epoch_steps=-1"),
    ({"learning_rate": float("nan")}, "learning_rate=nan"), ({"device": "tpu"}, "device: found 'tpu'"),
])  # fmt: skip
def test_parameters_that_cannot_train_are_refused_before(parameters, named):
    with pytest.raises(ValueError, match=named):
        NeuralLinear(**parameters)


@pytest.mark.parametrize(("rows", "steps", "size"), [
    (10_000, 200, 128), (25_600, 200, 128), (100_000, 200, 500), (10**7, 200, 2048), (10**7, 0, 128),
])  # fmt: skip
def test_on_more_rows_mini_batches_grow_and_the_rate_with_their_square_root(rows, steps, size):
    how = Training(
        epochs=1, patience=1, batch_size=128, epoch_steps=steps, learning_rate=0.003, weight_decay=0.0, holdout=0.1
    )
    grown = how.for_rows(rows)
    assert grown.batch_size == size
    assert grown.learning_rate == pytest.approx(0.003 * (size / 128) ** 0.5)
    assert replace(grown, batch_size=128, learning_rate=0.003) == how


def test_a_mini_batch_that_was_asked_for_large_is_left_alone():
    how = Training(
        epochs=1, patience=1, batch_size=8192, epoch_steps=200, learning_rate=0.003, weight_decay=0.0, holdout=0.1
    )
    assert how.for_rows(10**6) == how
