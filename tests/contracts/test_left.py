"""What is left of a batch, scored once: to the bit what the policy makes of it when it is asked anew."""

import numpy as np
import pytest

from croupier.features.batch import Left
from croupier.models import policy
from tests.contracts.test_policies import NAMES, WORLD, make, trained

SCORED_ONCE = set(NAMES) - {"uniform", "fixed_arm", "beta_bernoulli"}


@pytest.fixture
def batch():
    return WORLD.requests(97, np.random.default_rng(7))


def parts(batch, rng):
    """Parts of the batch as slates leave them: none shown, one, two, and fewer requests each time."""
    for shown in range(3):
        rows = np.sort(rng.choice(len(batch), 97 - 13 * shown, replace=False))
        rows = rows[batch.mask[rows].sum(axis=1) > shown]
        places = [rng.choice(np.flatnonzero(batch.mask[row]), shown, replace=False) for row in rows]
        yield rows, np.array(places, np.int64).reshape(len(rows), shown)


@pytest.mark.medium
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("when", ["untrained", "trained"])
def test_what_is_left_has_the_pmf_of_a_batch_of_it_to_the_bit(name, when, batch):
    learner = trained(name) if when == "trained" else make(name)
    among, rng = policy.among(learner, batch), np.random.default_rng(5)
    for rows, shown in parts(batch, rng):
        left = Left.of(batch.mask, rows, shown)
        found, alone = among(left), learner.pmf(left.batch(batch))
        assert found.shape == left.mask.shape
        assert (found == alone).all()
    assert (among(Left.all(batch.mask)) == learner.pmf(batch)).all()
    assert (among(Left.all(batch.mask)) == learner.pmf(batch)).all(), "what is asked changes nothing of what is kept"
    assert isinstance(learner, policy.ScoredOnce) == (name in SCORED_ONCE)


@pytest.mark.medium
@pytest.mark.parametrize("name", NAMES)
def test_so_has_what_is_left_of_every_request_in_any_order(name, batch):
    """All requests of a batch, which a vote elects in place; the same ones in another order, and some twice."""
    batch, learner, rng = batch[batch.mask.sum(axis=1) > 2], trained(name), np.random.default_rng(3)
    among, every = policy.among(learner, batch), np.arange(len(batch))
    places = np.array([rng.choice(np.flatnonzero(row), 2, replace=False) for row in batch.mask])
    twice = every // 2  # as many rows as the batch has, but not its own
    parts = [(every, places), (every, places[:, :1]), (every[::-1], places[::-1]), (every, places[:, 1:])]
    for rows, shown in (*parts, (twice, places[twice, every % 2][:, None])):
        left = Left.of(batch.mask, rows, shown)
        assert (among(left) == learner.pmf(left.batch(batch))).all()
    assert (among(Left.all(batch.mask)) == learner.pmf(batch)).all(), "what is asked changes nothing of what is kept"


def test_left_leaves_out_what_is_shown_and_nothing_else(batch):
    rows = np.flatnonzero(batch.mask.sum(axis=1) > 2)
    shown = np.array([np.flatnonzero(batch.mask[row])[[2, 0]] for row in rows])
    left = Left.of(batch.mask, rows, shown)
    part = left.batch(batch)
    assert part.mask.shape[1] == batch.mask.sum(axis=1).max() - 2
    for i, row in enumerate(rows):
        kept = [place for place in np.flatnonzero(batch.mask[row]) if place not in shown[i]]
        assert part.arm[i, part.mask[i]].tolist() == batch.arm[row, kept].tolist()
        assert (part.pair[i, part.mask[i]] == batch.pair[row, kept]).all()
        assert (part.context[i] == batch.context[row]).all()
    assert not part.arm[~part.mask].any()
