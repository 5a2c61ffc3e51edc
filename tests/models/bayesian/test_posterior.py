"""The Bayesian linear head: by hand, by its laws, and by scipy."""

import numpy as np
import pytest

from croupier.models.bayesian.posterior import Posterior, Prior, RidgeMoments

RNG = np.random.default_rng(0)
PHI, W = RNG.normal(size=(200, 3)), np.array([1.0, -2.0, 0.5])
R = PHI @ W + 0.3 * RNG.normal(size=200)


DEFAULT = Prior()


def learnt(phi=PHI, r=R, prior=DEFAULT):
    return Posterior.empty(phi.shape[1], prior).update(phi, r)


def test_two_by_two_by_hand():
    """φ = (1, 0), (1, 1), r = 1, 3, λ = 1: A + λI = [[3, 1], [1, 2]], b = (4, 3), so mean = (1, 1);
    Σr² − bᵀmean = 10 − 7 = 3, so σ² ~ IG(2 + 1, 1 + 1.5)."""
    head = learnt(np.array([[1.0, 0.0], [1.0, 1.0]]), np.array([1.0, 3.0]), Prior(2.0, 1.0, 1.0))
    np.testing.assert_allclose(head.mean, [1.0, 1.0], atol=1e-14)
    np.testing.assert_allclose(head.noise, (3.0, 2.5), atol=1e-14)
    # Var(φᵀw) = b/(a − 1) · φᵀ(A + λI)⁻¹φ = 1.25 · 2/5 for φ = (1, 0)
    np.testing.assert_allclose(head.width(np.array([[1.0, 0.0]])), [0.5**0.5], atol=1e-14)
    assert head.step == 2


def test_moments_add_in_any_order_and_split():
    whole = learnt()
    parts = Posterior.empty(3, Prior()).update(PHI[120:], R[120:]).update(PHI[:120], R[:120])
    np.testing.assert_allclose(parts.mean, whole.mean, rtol=1e-12)
    np.testing.assert_allclose(parts.noise, whole.noise, rtol=1e-12)
    summed = RidgeMoments.of(PHI[:50], R[:50]) + RidgeMoments.of(PHI[50:], R[50:])
    np.testing.assert_allclose(summed.A, whole.moments.A, rtol=1e-12)


def test_weight_two_is_the_row_twice():
    weighted = RidgeMoments.of(PHI[:9], R[:9], np.full(9, 2.0))
    twice = RidgeMoments.of(np.repeat(PHI[:9], 2, axis=0), np.repeat(R[:9], 2))
    for key in ("A", "b", "rr", "n"):
        np.testing.assert_allclose(getattr(weighted, key), getattr(twice, key), rtol=1e-12)


def test_discounting_forgets():
    old = learnt()
    new = old.update(PHI, -R, keep=0.0)
    np.testing.assert_allclose(new.mean, -old.mean, rtol=1e-10)
    half = old.update(PHI[:0], R[:0], keep=0.5)
    np.testing.assert_allclose(half.moments.A, old.moments.A / 2)
    assert half.moments.n == 100


def test_samples_have_the_posteriors_mean_and_covariance():
    head = learnt(PHI[:12], R[:12])
    draws = head.sample(np.random.default_rng(1), 400_000)
    a, b = head.noise
    expected = b / (a - 1) * np.linalg.inv(head.moments.A + head.prior.precision * np.eye(3))
    np.testing.assert_allclose(draws.mean(axis=1), head.mean, atol=4 * np.sqrt(expected.max() / 400_000))
    np.testing.assert_allclose(np.cov(draws), expected, atol=0.015 * expected.max())


def test_saved_and_restored_is_equal():
    head = learnt()
    again = Posterior.restore(head.prior, head.arrays(), head.step)
    assert (again.mean == head.mean).all()
    assert (again.noise, again.step) == (head.noise, head.step)


def test_bad_prior_is_named():
    with pytest.raises(ValueError, match="expected positive"):
        Prior(0.0, 1.0, 1.0)
