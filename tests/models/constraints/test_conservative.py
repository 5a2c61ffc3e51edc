"""Conservative exploration: the running value is at least (1 − α) of the baseline's as often as stated."""

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from croupier.models.constraints.conservative import Conservative

ALPHA, DELTA, D, K, ROUNDS = 0.1, 0.05, 3, 4, 150
NOISE = 0.1


class Careless(Conservative):
    """A planted error: bounds as if θ were known exactly."""

    radius = 0.0


def violated(seed, made=Conservative, rounds=ROUNDS):
    """(True if the running value was ever below (1 − α) of the baseline's, share of decisions explored): an optimist
    who is held back, on a linear problem of his own; the baseline shows the second best arm of the mean context."""
    rng = np.random.default_rng(seed)
    theta = np.abs(rng.normal(size=D))
    theta /= np.linalg.norm(theta)
    state = made.begun(D, alpha=ALPHA, delta=DELTA, noise=NOISE, norm=1.0)
    arms = np.abs(rng.normal(0.4, 0.2, (K, D)))
    baseline = int(np.argsort(arms @ theta)[-2])
    value = base = 0.0
    explored, ever = 0, False
    for _ in range(rounds):
        phi = np.abs(arms + rng.normal(0, 0.05, (K, D)))
        optimist = np.zeros(K)
        optimist[state.bounds(phi)[1].argmax() if made is Conservative else rng.integers(K)] = 1.0
        arm = int(rng.choice(K, p=state.pmf(optimist, phi, baseline)))
        value, base = value + phi[arm] @ theta, base + phi[baseline] @ theta
        ever |= value < (1 - ALPHA) * base - 1e-9
        explored += arm != baseline
        state = state.decided(phi[arm], phi[baseline]).learnt(phi[arm], phi[arm] @ theta + rng.normal(0, NOISE))
    return ever, explored / rounds


def rate(runs, made=Conservative, **options):
    with threadpool_limits(1):  # matrices of 3 × 3: threads would cost a hundred times what they do
        found = [violated(seed, made, **options) for seed in range(runs)]
    return np.mean([ever for ever, _ in found]), np.mean([share for _, share in found])


@pytest.mark.slow
def test_the_promise_is_broken_no_more_often_than_stated():
    broken, explored = rate(200, rounds=60)
    assert broken <= DELTA
    assert explored > 0.1  # it does explore


@pytest.mark.full
@pytest.mark.timeout(3600)
def test_the_promise_is_broken_no_more_often_than_stated_in_a_thousand_runs():
    broken, explored = rate(1000)
    assert broken <= DELTA
    assert explored > 0.3


def test_careless_bounds_are_seen_to_break_it():
    assert rate(10, Careless)[0] > 0.5


def test_bounds_by_hand():
    """One feature: A = 1 + 3, θ̂ = 3/4, β = .1 √(2 log 20 + log 4) + 1."""
    state = Conservative.begun(1, alpha=ALPHA, delta=DELTA, noise=NOISE, norm=1.0)
    for _ in range(3):
        state = state.learnt(np.ones(1), 1.0)
    width = (0.1 * np.sqrt(2 * np.log(20) + np.log(4)) + 1) * 2 / np.sqrt(4)
    lower, upper = state.bounds(np.array([[2.0]]))
    np.testing.assert_allclose([lower[0], upper[0]], [1.5 - width, 1.5 + width])


def test_an_arm_is_allowed_once_the_baseline_has_earned_enough():
    """θ = 1 known to all but certainty: an arm worth nothing against a baseline worth 1 takes ten baseline decisions to
    be paid for at α = .1; its mass goes to the baseline until then."""
    state = Conservative.begun(1, alpha=ALPHA, delta=DELTA, noise=1e-6, norm=1.0, ridge=1e-12)
    phi, wanted = np.array([[1.0], [0.0]]), np.array([0.25, 0.75])
    for _ in range(50):
        state = state.learnt(np.ones(1), 1.0)
    for _ in range(8):
        state = state.decided(phi[0], phi[0])
        np.testing.assert_array_equal(state.pmf(wanted, phi, 0), [1.0, 0.0])
    state = state.decided(phi[0], phi[0]).decided(phi[0], phi[0])
    np.testing.assert_array_equal(state.pmf(wanted, phi, 0), wanted)
    np.testing.assert_array_equal(state.decided(phi[1], phi[0]).pmf(wanted, phi, 0), [1.0, 0.0])


@pytest.mark.parametrize(("make", "says"), [
    (lambda: Conservative.begun(2, alpha=0.0, delta=0.1, noise=1.0, norm=1.0), "alpha: found 0.0"),
    (lambda: Conservative.begun(2, alpha=0.1, delta=1.0, noise=1.0, norm=1.0), "delta: found 1.0"),
    (lambda: Conservative.begun(2, alpha=0.1, delta=0.1, noise=0.0, norm=1.0), "noise: found 0.0"),
    (lambda: Conservative.begun(2, alpha=0.1, delta=0.1, noise=1.0, norm=1.0).learnt(np.ones(2), np.nan), "reward: found nan"),
    (lambda: Conservative.begun(2, alpha=0.1, delta=0.1, noise=1.0, norm=1.0).pmf(np.ones(1), np.ones((1, 3)), 0), "found pmf (1,)"),
])  # fmt: skip
def test_wrong_arguments_are_refused(make, says):
    with pytest.raises(ValueError) as refused:
        make()
    assert str(refused.value).startswith(says)
