"""What every policy promises of arms that requests bring along, by what it declares (`inline_arms`)."""

from dataclasses import replace

import numpy as np
import pytest

from croupier.features.batch import concatenate
from croupier.models import policy
from tests.contracts.test_policies import LOG, NAMES, WORLD, make, trained

EXACT = {"vw_cb_adf"}  # of others a vote may turn: sums are taken in another order


def brought(batch, rows):
    """The batch with candidates of these catalogue rows brought along by each request, under ids of their own."""
    new = np.isin(batch.arm, rows) & batch.mask
    features = batch.catalogue.features[batch.arm[new]]
    ids = [f"inline-{batch.catalogue.ids[row]}" for row in batch.arm[new]]
    arm = batch.arm.copy()
    arm[new] = len(batch.catalogue.ids) + np.arange(new.sum())
    return replace(batch, arm=arm, catalogue=batch.catalogue.with_inline(ids, features))


@pytest.fixture
def batch():
    return WORLD.requests(97, np.random.default_rng(7))


@pytest.fixture(params=NAMES)
def name(request):
    return request.param


@pytest.fixture(params=["untrained", "trained"])
def learner(request, name):
    return trained(name) if request.param == "trained" else make(name)


def hybrid(learner):
    """Whether an arm of the catalogue is more to it than its features."""
    return getattr(learner, "parameters", {}).get("heads") == "hybrid"


def test_it_is_declared_and_stays_so(learner, tmp_path):
    learner.save(tmp_path)
    assert policy.load(tmp_path).inline_arms == learner.inline_arms
    per_arm = (
        learner.name in {"uniform", "beta_bernoulli"} or getattr(learner, "parameters", {}).get("heads") == "per_arm"
    )
    expected = "refused" if learner.name == "fixed_arm" else "explored" if per_arm else "scored"
    assert learner.inline_arms == expected


def test_pmf_is_a_distribution_over_all_candidates(learner, batch):
    pmf = learner.pmf(brought(batch, [1, 3, 4]))
    assert (pmf >= 0).all()
    assert (pmf[~batch.mask] == 0).all()
    np.testing.assert_allclose(pmf.sum(axis=1), 1, rtol=0, atol=1e-9)


def test_a_scored_arm_gets_what_one_of_the_catalogue_with_its_features_gets(name, batch):
    learner = trained(name)
    if learner.inline_arms != "scored" or hybrid(learner) or name == "vw_regcb":
        pytest.skip("an arm of the catalogue is more to it than its features, or many arms tie")
    found, expected = learner.pmf(brought(batch, [1, 3, 4])), learner.pmf(batch)
    if learner.name in EXACT:
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)
    else:
        assert (np.abs(found - expected) > 1e-9).mean() < 0.02
        assert np.abs(found - expected).mean() < 1e-3


def test_an_explored_arm_gets_what_one_gets_that_nobody_has_seen(name, batch):
    learner = trained(name)
    if learner.inline_arms != "explored" or name == "beta_bernoulli":  # its draws go by the arm's name
        pytest.skip("not explored")
    catalogue = batch.catalogue
    unseen = replace(catalogue, ids=tuple(f"inline-{a}" if i in (1, 3, 4) else a for i, a in enumerate(catalogue.ids)))
    found, expected = learner.pmf(brought(batch, [1, 3, 4])), learner.pmf(replace(batch, catalogue=unseen))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


def test_batch_mates_do_not_matter_bit_for_bit(learner, batch):
    """Neither those that bring arms along to those that do not, nor the other way round."""
    half = np.arange(len(batch)) % 2 == 0
    mixed = brought(batch, [1, 3, 4])
    mixed = replace(mixed, arm=np.where(half[:, None], batch.arm, mixed.arm))
    pmf = learner.pmf(mixed)
    assert (pmf[half] == learner.pmf(batch[half])).all()
    for row in (1, 3, 51):
        alone = brought(batch[[row]], [1, 3, 4])
        assert (learner.pmf(alone) == pmf[[row]]).all()


def test_the_order_of_arms_does_not_matter(learner, batch):
    mixed, rng = brought(batch, [1, 3, 4]), np.random.default_rng(1)
    order = rng.permuted(np.tile(np.arange(batch.mask.shape[1]), (len(batch), 1)), axis=1)
    shuffled = replace(
        mixed,
        arm=np.take_along_axis(mixed.arm, order, 1),
        mask=np.take_along_axis(mixed.mask, order, 1),
        pair=np.take_along_axis(mixed.pair, order[:, :, None], 1),
    )
    pmf = learner.pmf(mixed)
    np.testing.assert_allclose(learner.pmf(shuffled), np.take_along_axis(pmf, order, 1), rtol=0, atol=1e-12)


@pytest.mark.medium
def test_what_is_learnt_of_them_is_learnt_from_their_features(name, batch):
    """A log whose arms all came with the requests teaches a policy that scores them what the same arms of a catalogue
    do; where several ids share one arm's features, that is all that there is to learn."""
    log = [replace(chunk, batch=brought(chunk.batch, range(99))) for chunk in LOG]
    if make(name).inline_arms != "scored" or hybrid(make(name)):
        pytest.skip("not scored")
    found, expected = make(name).learn(log, seed=3).pmf(batch), trained(name).pmf(batch)
    assert np.abs(found - expected).mean() < 1e-3


def test_chunks_of_different_inline_arms_are_one_log():
    parts = [replace(c, batch=brought(c.batch, [2, 5])) for c in LOG]
    whole = concatenate([LOG[0], *parts])
    np.testing.assert_array_equal(
        whole.batch.arm_features[whole.batch.mask],
        np.concatenate([c.batch.arm_features[c.batch.mask] for c in (LOG[0], *LOG)]),
    )
    names = np.array(whole.batch.catalogue.ids, dtype=object)[whole.batch.arm]
    alone = np.array(parts[1].batch.catalogue.ids, dtype=object)[parts[1].batch.arm]
    np.testing.assert_array_equal(names[-len(parts[1]) :][parts[1].batch.mask], alone[parts[1].batch.mask])
    assert whole.batch.catalogue.size == len(LOG[0].batch.catalogue.ids)
