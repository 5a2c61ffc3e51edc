"""The Bayesian linear head: reward = φᵀw + noise, w | σ² ~ N(0, σ²/λ I), σ² ~ InverseGamma(a₀, b₀).

Its whole state is `Moments`, sums over rows that add across chunks, hosts and days: A = Σφφᵀ, b = Σrφ, rr = Σr²,
n = Σ1. Murphy 2007, "Conjugate Bayesian analysis of the Gaussian distribution", and Bishop 2006, §3.3. All float64.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self, cast

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cholesky, solve_triangular

from croupier.features.batch import F64

Phi = NDArray[np.float32] | F64


@dataclass(frozen=True)
class Prior:
    """Noise σ² ~ InverseGamma(a0, b0); weights N(0, σ²/precision)."""

    a0: float = 6.0
    b0: float = 6.0
    precision: float = 0.25

    def __post_init__(self) -> None:
        if not (self.a0 > 0 and self.b0 > 0 and self.precision > 0):
            raise ValueError(f"prior: found {self}, expected positive a0, b0 and precision")


@dataclass(frozen=True, kw_only=True, eq=False)
class Moments:
    """Sufficient statistics: A (d, d), b (d,), rr, n (effective rows)."""

    A: F64
    b: F64
    rr: float
    n: float

    @classmethod
    def zeros(cls, d: int) -> Self:
        """Returns the moments of no rows, for φ of length d."""
        return cls(A=np.zeros((d, d)), b=np.zeros(d), rr=0.0, n=0.0)

    @classmethod
    def of(cls, phi: Phi, reward: F64, weight: F64 | None = None) -> Self:
        """Returns the moments of rows φ (n, d) and rewards (n,), each counted `weight` times."""
        n, d = phi.shape
        rows = np.empty((n, d + 1))  # [φ, r]: one product has all three sums
        rows[:, :d], rows[:, d] = phi, reward
        if weight is None or (weight == 1).all():
            sums, count = rows.T @ rows, float(n)
        else:
            sums, count = (rows * weight[:, None]).T @ rows, float(weight.sum())
        return cls(A=sums[:d, :d], b=sums[:d, d], rr=float(sums[d, d]), n=count)

    def __add__(self, other: Self) -> Self:
        return type(self)(A=self.A + other.A, b=self.b + other.b, rr=self.rr + other.rr, n=self.n + other.n)

    def __mul__(self, share: float) -> Self:
        """Forgetting: every past row counts `share` as much."""
        return type(self)(A=self.A * share, b=self.b * share, rr=self.rr * share, n=self.n * share)


@dataclass(frozen=True, kw_only=True, eq=False)
class Posterior:
    """Prior and moments; `step` counts the rewards it has learnt from, and names the posterior in the log."""

    prior: Prior
    moments: Moments
    step: int = 0

    @classmethod
    def empty(cls, d: int, prior: Prior) -> Self:
        """Returns the posterior before any row: the prior."""
        return cls(prior=prior, moments=Moments.zeros(d))

    def update(self, phi: Phi, reward: F64, weight: F64 | None = None, *, keep: float = 1.0) -> Self:
        """The posterior after rows φ (n, d), rewards (n,). With `keep` < 1 the past is first discounted by it."""
        past = self.moments if keep == 1.0 else self.moments * keep
        return type(self)(
            prior=self.prior, moments=past + Moments.of(phi, reward, weight), step=self.step + len(reward)
        )

    def arrays(self) -> dict[str, F64]:
        """What to save; `step` is kept beside it."""
        m = self.moments
        return {"head.A": m.A, "head.b": m.b, "head.rr_n": np.array([m.rr, m.n])}

    @classmethod
    def restore(cls, prior: Prior, arrays: Mapping[str, NDArray[Any]], step: int) -> Self:
        """Restores a posterior from its arrays and its step."""
        rr, n = arrays["head.rr_n"]
        moments = Moments(A=arrays["head.A"], b=arrays["head.b"], rr=float(rr), n=float(n))
        return cls(prior=prior, moments=moments, step=step)

    @cached_property
    def cholesky(self) -> F64:
        """Lower L with LLᵀ = A + λI."""
        d = len(self.moments.b)
        return cholesky(self.moments.A + self.prior.precision * np.eye(d), lower=True)

    @cached_property
    def mean(self) -> F64:
        """The posterior mean (A + λI)⁻¹b, (d,)."""
        half = solve_triangular(self.cholesky, self.moments.b, lower=True)
        return cast("F64", solve_triangular(self.cholesky, half, lower=True, trans="T"))

    @cached_property
    def directions(self) -> F64:
        """(d, 1 + d): [mean, L⁻ᵀ]. A product with φ gives φᵀmean, and a vector whose length is √(φᵀ(A + λI)⁻¹φ)."""
        inverse = solve_triangular(self.cholesky, np.eye(len(self.mean)), lower=True)
        return np.concatenate([self.mean[:, None], inverse.T], axis=1)

    @cached_property
    def noise(self) -> tuple[float, float]:
        """(a, b) of σ²'s inverse gamma: a₀ + n/2 and b₀ + (Σr² − meanᵀ(A + λI) mean)/2 (Murphy 2007, eq. 200)."""
        half = solve_triangular(self.cholesky, self.moments.b, lower=True)
        residual = max(self.moments.rr - float(half @ half), 0.0)
        return self.prior.a0 + self.moments.n / 2, self.prior.b0 + residual / 2

    def sample(self, rng: np.random.Generator, draws: int) -> F64:
        """Returns (d, S) joint draws of w: σ² first, then w = mean + σ L⁻ᵀ z."""
        a, b = self.noise
        sigma = np.sqrt(b / rng.standard_gamma(a, size=draws))
        z = rng.standard_normal((len(self.moments.b), draws))
        drawn: F64 = self.mean[:, None] + solve_triangular(self.cholesky, z, lower=True, trans="T") * sigma
        return drawn

    def width(self, phi: Phi) -> F64:
        """Posterior standard deviation of φᵀw, (n,): √(E[σ²] φᵀ(A + λI)⁻¹φ)."""
        a, b = self.noise
        half = solve_triangular(self.cholesky, phi.astype(np.float64).T, lower=True)
        return cast("F64", np.sqrt(b / max(a - 1, 0.5) * (half**2).sum(axis=0)))
