"""Slates that posterior draws elect: their first slot is the policy's own pmf, and all follow from the draws."""

import numpy as np
import pytest

from croupier.models.policy import make
from croupier.models.slates.enumeration import conditionals
from croupier.models.slates.posterior_draws import elected
from tests.models.slates.test_asked_again import batch


@pytest.fixture(scope="module")
def app():
    from tests.serving import apps

    return apps


@pytest.mark.medium
@pytest.mark.parametrize("name", ["lin_ts", "neural_linear"])
def test_the_first_slots_marginal_is_the_policys_pmf(app, name):
    policy, asked = app.trained(name), app.sample().log.batch[:16]
    votes = elected(policy, asked, 2)
    assert votes.marginals()[:, 0] == pytest.approx(policy.pmf(asked), abs=1e-9)
    alone = elected(policy, asked[3:4], 2)
    assert np.array_equal(alone.elected[0], votes.elected[3])
    assert conditionals(alone, 2).prod(axis=2).sum(axis=1) == pytest.approx(1.0, abs=1e-12)
    second = votes.marginals()[:, 1]
    assert (second[~asked.mask] == 0).all()
    assert second.sum(axis=1) == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ({}, "an untrained one"),
        ({"explore": "ucb"}, "an untrained one"),
    ],
)
def test_who_cannot_elect_is_refused(parameters, says):
    with pytest.raises(ValueError, match=f"lin_ts: found {says}, expected a trained policy with a shared head"):
        elected(make("lin_ts", **parameters), batch(), 2)


@pytest.mark.medium
def test_heads_of_their_own_have_no_joint_draws(app):
    policy = make("lin_ts", heads="per_arm").learn([app.sample().log], seed=1)
    with pytest.raises(ValueError, match="found heads per_arm, thompson"):
        elected(policy, app.sample().log.batch[:2], 2)
