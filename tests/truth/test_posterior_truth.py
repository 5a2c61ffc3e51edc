"""Truths of the Bayesian head: scipy's reference, a million increments, coverage, and quadrature against samples."""

import numpy as np
import pytest
from scipy import stats
from scipy.linalg import solve

from croupier.models import exploration
from croupier.models.bayesian.posterior import Posterior, Prior

PRIOR = Prior(3.0, 2.0, 0.5)


def test_marginals_are_scipys_student_t():
    """Given the data, w_j is Student-t with 2a degrees of freedom (Murphy 2007, eq. 204); so are the samples."""
    rng = np.random.default_rng(0)
    phi = rng.normal(size=(30, 4))
    head = Posterior.empty(4, PRIOR).update(phi, phi @ [1, 0, -1, 2] + rng.normal(size=30))
    a, b = head.noise
    precision = phi.T @ phi + 0.5 * np.eye(4)
    np.testing.assert_allclose(head.mean, solve(precision, head.moments.b), rtol=1e-10)
    scale = np.sqrt(b / a * np.diag(np.linalg.inv(precision)))
    draws = head.sample(np.random.default_rng(1), 100_000)
    for j in range(4):
        assert stats.kstest(draws[j], stats.t(2 * a, head.mean[j], scale[j]).cdf).pvalue > 0.001


@pytest.mark.parametrize("rows", [10_000, pytest.param(1_000_000, marks=pytest.mark.full)])
@pytest.mark.timeout(1800)
def test_increments_agree_with_the_batch(rows):
    """Row by row equals all at once, to 1e-6 in mean, covariance and noise."""
    rng = np.random.default_rng(2)
    phi = rng.normal(size=(rows, 8))
    r = phi @ rng.normal(size=8) + rng.normal(size=rows)
    head = Posterior.empty(8, PRIOR)
    for i in range(rows):
        head = head.update(phi[i : i + 1], r[i : i + 1])
    batch = Posterior.empty(8, PRIOR).update(phi, r)
    assert head.step == batch.step == rows
    np.testing.assert_allclose(head.mean, batch.mean, rtol=1e-6)
    np.testing.assert_allclose(head.cholesky, batch.cholesky, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(head.noise, batch.noise, rtol=1e-6)


@pytest.mark.parametrize("worlds", [2000, pytest.param(20_000, marks=pytest.mark.full)])
def test_ninety_percent_intervals_cover_ninety_percent(worlds):
    """On data from its own model (w and σ² from the prior), φᵀw lies in its 90 % interval 88–92 % of the time."""
    rng, covered = np.random.default_rng(3), 0
    for _ in range(worlds):
        sigma2 = PRIOR.b0 / rng.standard_gamma(PRIOR.a0)
        w = rng.normal(size=5) * np.sqrt(sigma2 / PRIOR.precision)
        phi = rng.normal(size=(12, 5))
        head = Posterior.empty(5, PRIOR).update(phi, phi @ w + rng.normal(size=12) * np.sqrt(sigma2))
        new = rng.normal(size=(1, 5))
        a, _ = head.noise
        # `width` is the standard deviation; the marginal is a t whose scale is sd · √((a − 1)/a)
        half = stats.t(2 * a).ppf(0.95) * head.width(new)[0] * np.sqrt((a - 1) / a)
        covered += abs(float(new[0] @ (w - head.mean))) < half
    assert 0.88 < covered / worlds < 0.92


@pytest.mark.parametrize("samples", [400_000, pytest.param(10_000_000, marks=pytest.mark.full)])
def test_quadrature_agrees_with_samples(samples):
    rng = np.random.default_rng(4)
    for K in (2, 5, 20):
        mean, sd = rng.normal(size=(1, K)), rng.uniform(0.05, 1.5, size=(1, K))
        p = exploration.best_of_normals(mean, sd, np.ones((1, K), dtype=bool))[0]
        counts = np.zeros(K)
        for _ in range(samples // 100_000):
            counts += np.bincount((mean + sd * rng.standard_normal((100_000, K))).argmax(axis=1), minlength=K)
        often = p * samples > 20
        expected = p[often] / p[often].sum() * counts[often].sum()
        assert stats.chisquare(counts[often], expected).pvalue > 1e-4
        assert counts[~often].sum() < 60 * K


def test_quadrature_is_exact_where_the_answer_is_known():
    """Two arms: Φ((m₁ − m₂)/√(s₁² + s₂²)); equal arms: 1/K; a narrow arm far below: nothing."""
    mean, sd = np.array([[0.3, -0.2]]), np.array([[0.7, 1.1]])
    known = stats.norm.cdf(0.5 / np.hypot(0.7, 1.1))
    two = np.ones((1, 2), dtype=bool)
    assert exploration.best_of_normals(mean, sd, two)[0, 0] == pytest.approx(known, abs=1e-9)
    same = exploration.best_of_normals(np.zeros((1, 7)), np.ones((1, 7)), np.ones((1, 7), dtype=bool))
    np.testing.assert_allclose(same, 1 / 7, atol=1e-12)
    far = exploration.best_of_normals(np.array([[0.0, -9.0]]), np.array([[0.1, 1e-6]]), two)
    np.testing.assert_allclose(far, [[1.0, 0.0]], atol=1e-12)
    narrow = exploration.best_of_normals(np.array([[0.0, 0.1]]), np.array([[1.0, 1e-5]]), two)
    assert narrow[0, 1] == pytest.approx(stats.norm.cdf(0.1), abs=0.01)
