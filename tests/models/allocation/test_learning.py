"""Rewards of items are ordinary interactions; a reward of the whole request is a row of summed features."""

import numpy as np
import pytest

from croupier.models.allocation.learning import of_items, of_requests
from croupier.models.allocation.request import joined
from croupier.models.bayesian.linear import LinTS
from tests.models.allocation.asked import log, one


def untrained(rng):
    return LinTS().learn([log(rng, [one(rng)], crossed=True)[:0]])


def test_whole_request_rewards_are_least_squares_of_the_sum():
    rng = np.random.default_rng(1)
    policy, requests = untrained(rng), [one(rng, items=int(n)) for n in (2, 5, 3)]
    chosen = [rng.integers(4, size=len(r.items)) for r in requests]
    reward = np.array([0.0, 1.0, 1.0])
    found = of_requests(policy, requests, chosen, reward, crossed=True).head

    def phi(request, i, j):
        u, item, option = request.context, request.items[i], request.options[j]
        x = np.concatenate([item, option, np.outer(option, item).ravel()])
        return np.concatenate([u, x, np.outer(u, x).ravel(), [1.0]])

    rows = [sum(phi(r, i, j) for i, j in enumerate(c)) for r, c in zip(requests, chosen, strict=True)]
    X = np.array(rows, np.float64)
    A = X.T @ X + 0.25 * np.eye(X.shape[1])
    assert found.step == 3
    assert found.mean == pytest.approx(np.linalg.solve(A, X.T @ reward), abs=1e-5)


def test_many_whole_request_rewards_say_what_each_item_adds():
    """Truth: tokens of items with a large first feature are worth it. Only the sum over six items was ever seen."""
    rng = np.random.default_rng(2)
    policy, requests = untrained(rng), [one(rng, items=6) for _ in range(1500)]
    chosen = [rng.integers(4, size=6) for _ in requests]

    def worth(request, options):
        return request.items[:, 0] * np.array([0.16, 0.32, 0.64, 1.0])[options]

    reward = np.array([worth(r, c).sum() for r, c in zip(requests, chosen, strict=True)]) + rng.normal(size=1500)
    policy = of_requests(policy, requests, chosen, reward, crossed=True)
    fresh = [one(rng, items=6) for _ in range(50)]
    options = [rng.integers(4, size=6) for _ in fresh]
    found = policy.features(joined(fresh, crossed=True), np.concatenate(options)) @ policy.head.mean
    truth = np.concatenate([worth(r, c) for r, c in zip(fresh, options, strict=True)])
    assert np.corrcoef(found, truth)[0, 1] > 0.97


def test_item_rewards_are_interactions_with_the_marginal_as_propensity():
    rng = np.random.default_rng(3)
    requests = [one(rng, items=2), one(rng, items=3)]
    marginals = [rng.dirichlet(np.ones(4), size=n) for n in (2, 3)]
    chosen = [np.array([1, 0]), np.array([3, 2, 0])]
    found = of_items(
        requests, chosen, marginals, [np.array([0.5, 1.0]), np.zeros(3)], crossed=False, at=np.array([7, 9])
    )
    assert found.chosen.tolist() == [1, 0, 3, 2, 0]
    assert found.propensity.tolist() == [marginals[0][0, 1], marginals[0][1, 0], *marginals[1][[0, 1, 2], [3, 2, 0]]]
    assert (found.reward.tolist(), found.at.tolist()) == ([0.5, 1.0, 0, 0, 0], [7, 7, 9, 9, 9])
    assert found.unit.tolist() == [0, 0, 1, 1, 1]
    assert np.array_equal(found.batch.catalogue.features[found.shown[0]], np.concatenate([r.items for r in requests]))
    learnt = LinTS().learn([found])
    assert learnt.head.step == 5


def test_requests_with_other_numbers_of_options_are_refused():
    rng = np.random.default_rng(4)
    few = one(rng)
    object.__setattr__(few, "options", few.options[:3])
    with pytest.raises(ValueError, match=r"requests: found \[3, 4\] options"):
        joined([few, one(rng)], crossed=False)
