"""Gaussian noise on a site's sums, and what it is worth as (ε, δ): the privacy of a unit, all of whose rows may go.

One row adds vvᵀ to the symmetric matrix of all sums, v = [φ, r], and 1 to n. Where ‖φ‖ ≤ B and |r| ≤ R (standardised),
vvᵀ has Frobenius norm ‖v‖² ≤ B² + R², so a unit with at most m rows changes all sums together by at most
Δ = m √((B² + R²)² + 1) in L2. Noise of standard deviation zΔ goes on every entry of the upper triangle and on n; the
lower triangle mirrors it (Dwork, Talwar, Thakurta & Zhang 2014, "Analyze Gauss", algorithm 1). What is known of a unit
after k such files has δ(ε) = Φ(μ/2 − ε/μ) − e^ε Φ(−μ/2 − ε/μ) with μ = √k / z: Balle & Wang 2018, theorem 8, and, for
k files, Dong, Roth & Su 2022, corollary 3.3.

Doubles are not reals: an adversary who sees the last bits of noisy numbers may learn more (Mironov 2012), which (ε, δ)
does not count.
"""

from dataclasses import asdict, dataclass, replace
from math import exp, hypot, isfinite, sqrt
from typing import Any, Self

import numpy as np
from scipy.optimize import brentq
from scipy.stats import norm

from croupier.features.batch import F64
from croupier.models.bayesian.posterior import RidgeMoments


@dataclass(frozen=True, kw_only=True)
class UnitLimits:
    """What a unit can add at most: `rows` rows, each with ‖φ‖ ≤ `length` and a reward in [low, high]."""

    length: float
    low: float
    high: float
    rows: int = 1

    def __post_init__(self) -> None:
        fine = all(map(isfinite, (self.length, self.low, self.high))) and self.length > 0 and self.low < self.high
        if not fine or self.rows < 1:
            raise ValueError(f"limits: found {self}, expected length > 0, finite low < high, and rows of 1 at least")

    def sensitivity(self, reward: float) -> float:
        """Δ, where `reward` is the largest |r| on the scale of the head."""
        return self.rows * hypot(self.length**2 + reward**2, 1.0)


@dataclass(frozen=True, kw_only=True)
class Privacy:
    """What noise a file has, and what it is worth: `epsilon` at `delta` of `times` files in which a unit's rows may be,
    by the `accountant`. The noise has standard deviation `multiplier` · `sensitivity`."""

    limits: UnitLimits
    sensitivity: float
    multiplier: float
    times: int
    delta: float
    epsilon: float
    accountant: str

    @property
    def sd(self) -> float:
        """The standard deviation of the noise on every sum."""
        return self.multiplier * self.sensitivity

    def to_json(self) -> dict[str, Any]:
        """Returns it as plain JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, found: Any) -> Self:
        """The inverse of `to_json`. Raises ValueError where it is malformed, or where its noise is not worth the
        stated ε."""
        try:
            made = cls(**{**found, "limits": UnitLimits(**found["limits"])})
            worth = epsilon(made.multiplier, made.delta, times=made.times)
        except (TypeError, KeyError) as error:
            raise ValueError(f"privacy: found {found!r:.200}, expected what noise and which ε ({error})") from None
        if not abs(made.epsilon - worth) <= 1e-3 * (1 + worth):
            raise ValueError(
                f"privacy: found ε = {made.epsilon} stated, expected {worth:.6g}, which noise of {made.multiplier} "
                f"times the sensitivity is worth in {made.times} files at δ = {made.delta}"
            )
        return made


def spent(epsilon: float, mu: float) -> float:
    """δ of μ-Gaussian privacy at ε."""
    return float(norm.cdf(mu / 2 - epsilon / mu) - exp(epsilon) * norm.cdf(-mu / 2 - epsilon / mu))


def epsilon(multiplier: float, delta: float, *, times: int = 1) -> float:
    """ε at δ of `times` files whose noise is `multiplier` times the sensitivity. Raises ValueError for numbers that
    cannot be, and where ε would be above 100."""
    if not (multiplier > 0 and 0 < delta < 1 and times >= 1):
        raise ValueError(f"noise: found {multiplier}, δ {delta}, times {times}, expected > 0, between 0 and 1, ≥ 1")
    mu = sqrt(times) / multiplier
    if spent(0.0, mu) <= delta:
        return 0.0
    if spent(100.0, mu) > delta:
        raise ValueError(f"noise: found a multiplier of {multiplier} for {times} files, whose ε is above 100; add more")
    return float(brentq(lambda e: spent(e, mu) - delta, 0.0, 100.0, xtol=1e-12))


def multiplier(asked: float, delta: float, *, times: int = 1) -> float:
    """The least noise, in units of the sensitivity, whose ε at δ is at most `asked`. Raises ValueError where no noise
    can be asked for so."""
    if not (0 < asked <= 100 and 0 < delta < 1 and times >= 1):
        raise ValueError(
            f"privacy: found ε = {asked}, δ = {delta}, {times} files, expected ε in (0, 100], δ in (0, 1), 1 at least"
        )
    mu = brentq(lambda m: spent(asked, m) - delta, 1e-9, 1e3, xtol=1e-13)
    return float(sqrt(times) / mu)


def matrix(moments: RidgeMoments) -> F64:
    """All sums but n as Σvvᵀ (d + 1, d + 1), v = [φ, r]."""
    return np.block([[moments.A, moments.b[:, None]], [moments.b[None, :], np.array([[moments.rr]])]])


def noisy(moments: RidgeMoments, sd: float, rng: np.random.Generator) -> RidgeMoments:
    """The sums with noise of standard deviation `sd` on each of them, A symmetric as before."""
    whole = matrix(moments)
    drawn = np.triu(rng.normal(0.0, sd, whole.shape))
    return _of(whole + drawn + np.triu(drawn, 1).T, moments.n + float(rng.normal(0.0, sd)))


def repaired(moments: RidgeMoments, sd: float) -> RidgeMoments:
    """Sums that rows can have, of sums with noise of standard deviation `sd` in all: Σvvᵀ without its negative
    eigenvalues, which is the nearest (Higham 1988, theorem 2.1), n ≥ 0, and a ridge of 2 sd √d on A, the largest
    eigenvalue that the noise alone has (Wigner 1958). So A + λI is positive definite for every prior, the noise
    variance is not negative, and a direction of which rows say less than the noise does is shrunk to 0 instead of being
    made up, as by the shift of Shariff & Sheffet 2018. It looks at noisy sums alone, which costs no privacy."""
    values, vectors = np.linalg.eigh(matrix(moments))
    kept = (vectors * np.maximum(values, 0.0)) @ vectors.T
    found, d = _of((kept + kept.T) / 2, max(moments.n, 0.0)), len(moments.b)
    return replace(found, A=found.A + 2 * sd * sqrt(d) * np.eye(d))


def _of(whole: F64, n: float) -> RidgeMoments:
    return RidgeMoments(A=whole[:-1, :-1], b=whole[:-1, -1], rr=float(whole[-1, -1]), n=n)
