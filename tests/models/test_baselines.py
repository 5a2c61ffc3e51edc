"""Policies without context, against what can be computed by hand."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from scipy.integrate import quad

from croupier.models.baselines import BetaBernoulli, FixedArm
from croupier.models.simulation.synthetic import LinearWorld

WORLD = LinearWorld.make(3, arms=2, candidates=2)
LOG = WORLD.log(400, 1, ragged=False)


@pytest.mark.medium
def test_beta_bernoulli_counts_and_its_votes_are_the_probability_of_being_best():
    learner = BetaBernoulli(draws=20_000).learn([LOG[:150], LOG[150:]], seed=2)
    arm = LOG.batch.arm[np.arange(400), LOG.chosen]
    for row, name in enumerate(WORLD.catalogue.ids):
        assert learner.counts[name] == (LOG.reward[arm == row].sum(), (1 - LOG.reward[arm == row]).sum())
    (w0, l0), (w1, l1) = (learner.counts[name] for name in WORLD.catalogue.ids)
    best = quad(lambda x: stats.beta(1 + w0, 1 + l0).pdf(x) * stats.beta(1 + w1, 1 + l1).cdf(x), 0, 1)[0]
    pmf = learner.pmf(LOG.batch)
    p0 = pmf[0, np.flatnonzero(LOG.batch.arm[0] == 0)[0]]
    assert p0 == pytest.approx(best, abs=4 * np.sqrt(best * (1 - best) / 20_000))
    assert (np.sort(pmf, axis=1) == np.sort(pmf[0])).all()


def test_weights_count_rows_that_were_thinned_away():
    thinned = replace(LOG, weight=np.full(400, 2.0))
    twice = BetaBernoulli().learn([LOG, LOG])
    assert BetaBernoulli().learn([thinned]).counts == twice.counts


def test_rewards_beyond_a_share_are_refused():
    with pytest.raises(ValueError, match=r"outside \[0, 1\]"):
        BetaBernoulli().learn([replace(LOG, reward=LOG.reward * 3)])


def test_fixed_arm_is_certain_where_it_can_be_and_uniform_elsewhere():
    pmf = FixedArm(arm="arm-1").pmf(LOG.batch)
    assert (pmf[LOG.batch.arm == 1] == 1).all()
    assert (FixedArm(arm="gone").pmf(LOG.batch) == 0.5).all()
