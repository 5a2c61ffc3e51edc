"""Intervals for a mean: how far the truth may be from an estimate.

`asymptotic_cs` is what the gate uses: it may be looked at after every row, and stops when you like. `clt` and
`bootstrap` hold for one look at a large effective sample, `cressie_read` at a smaller one; `empirical_bernstein_cs`
holds for every n, and is wide. How often each is wrong: models/GATE.md.

A `Bounds` is two one-sided statements, each wrong with probability ≤ alpha; for a two-sided interval at alpha, ask
for alpha / 2.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from math import exp, inf, log, log1p, sqrt

import numpy as np
from scipy.special import lambertw, ndtri, stdtrit

from croupier.features.batch import F64
from croupier.features.encoded.columns import total
from croupier.features.encoded.on_disk import blocks
from croupier.models.ope.estimators import Moments

TUNED_AT = 5000.0  # rows at which the confidence sequence is tightest; fixed before any data are seen
NO_SPREAD = 1e-9  # relative standard deviation below which differences are rounding


@dataclass(frozen=True, slots=True)
class Bounds:
    """The two ends of an interval."""

    lower: float
    upper: float


def clt(moments: Moments, *, alpha: float) -> Bounds:
    """mean ± z_{1−α} se. Exact for one look and n → ∞; false promotions exceed alpha at a low effective size."""
    return _around(moments, -float(ndtri(alpha)) / sqrt(max(moments.n, 1.0)))


def asymptotic_cs(moments: Moments, *, alpha: float, tuned_at: float = TUNED_AT) -> Bounds:
    """One-sided asymptotic confidence sequences, valid at all n at once. Waudby-Smith, Arbour, Sinha, Kennedy &
    Ramdas, arXiv 2103.06476, one-sided form of App. B; for off-policy values arXiv 2210.10768."""
    return _around(moments, boundary(moments.n, alpha=alpha, tuned_at=tuned_at))


def boundary(n: float, *, alpha: float, tuned_at: float = TUNED_AT) -> float:
    """Half-width in standard deviations of one value: sqrt(2 (nρ²+1) / (n²ρ²) · log(1 + sqrt(nρ²+1) / 2α))."""
    if n < 2:
        return inf
    s = n * rho_squared(alpha, tuned_at)
    return sqrt(2 * (s + 1) / (n * s) * log1p(sqrt(s + 1) / (2 * alpha)))


@lru_cache(maxsize=256)
def rho_squared(alpha: float, tuned_at: float) -> float:
    """ρ² that makes the sequence tightest at n = tuned_at (ibid., App. B.2, with 2α for one side)."""
    two_sided = min(2 * alpha, 0.999)
    return float(-lambertw(-(two_sided**2) * exp(-1), -1).real - 1) / tuned_at


def _around(moments: Moments, width: float) -> Bounds:
    """Values without spread (no click yet, say) bound nothing: a normal limit is not a proof of certainty."""
    if moments.n < 2 or moments.variance <= (NO_SPREAD * max(1.0, abs(moments.mean))) ** 2:
        return Bounds(-inf, inf)
    half = sqrt(moments.variance) * width
    return Bounds(moments.mean - half, moments.mean + half)


def empirical_bernstein_cs(values: F64, *, alpha: float, low: float, high: float) -> Bounds:
    """Predictable plug-in empirical-Bernstein sequence at the last row; holds at every n, without approximation.

    `values` in time order; each must be ≥ low for the lower bound and ≤ high for the upper one (a side with an
    infinite limit, or a limit the values break, is infinite). Waudby-Smith et al., arXiv 2210.10768, Thm. 2; the
    inequality is Fan et al. 2015, eq. 4.12."""
    return Bounds(_bernstein(values, alpha, low, high), -_bernstein(-values, alpha, -high, -low))


def _bernstein(values: F64, alpha: float, low: float, high: float) -> float:
    """Only `low` is relied on; `high` sets the scale. λ_t depends on rows before t alone."""
    if not (np.isfinite(low) and np.isfinite(high)) or high <= low or values.min() < low:
        return -inf
    xi = (values - low) / (high - low)
    t = np.arange(1, len(xi) + 1)
    mean = (0.5 + np.cumsum(xi)) / (t + 1)
    variance = (0.25 + np.cumsum((xi - np.minimum(mean, 1.0)) ** 2)) / (t + 1)
    before_mean = np.minimum(np.concatenate([[0.5], mean[:-1]]), 1.0)
    before_variance = np.concatenate([[0.25], variance[:-1]])
    lam = np.minimum(np.sqrt(2 * log(1 / alpha) / (before_variance * t * np.log1p(t))), 0.75)
    spent = np.sum((xi - before_mean) ** 2 * (-np.log1p(-lam) - lam))
    bound = (np.sum(lam * xi) - spent - log(1 / alpha)) / lam.sum()
    return float(low + (high - low) * bound)


def bootstrap(values: F64, *, alpha: float, rng: np.random.Generator, replicates: int = 1000) -> Bounds:
    """Percentile bootstrap of the mean, for reports: it does not repair a low effective sample size."""
    n = len(values)
    means = np.array([values[rng.integers(0, n, n)].mean() for _ in range(replicates)])
    lower, upper = np.quantile(means, [alpha, 1 - alpha])
    return Bounds(float(lower), float(upper))


def cressie_read(weight: F64, reward: F64, *, alpha: float, low: float, high: float, heaviest: float = 0.0) -> Bounds:
    """Empirical likelihood of an off-policy value, in the Cressie–Read family at power −2: the least and the greatest
    Σ q w r over reweightings q of the rows with Σ q w = 1 that the data do not reject. For reports: one look.
    Karampatziakis, Langford & Mineiro 2020, "Empirical likelihood for contextual bandits", §3.

    weight, reward (n,); true rewards lie in [low, high]. One row that was not seen counts with the rest, at its worst:
    of weight 0 or `heaviest` (at least the largest seen), and reward low or high."""
    if not any(
        weight[rows].any() for rows in blocks(len(weight))
    ):  # nothing that was drawn is what the policy wants: all that is declared is possible
        return Bounds(low, high)
    weights = (0.0, max(heaviest, float(weight.max(initial=0.0))))
    lower = min(_likely_end(weight, reward, unseen=(fake, low), alpha=alpha, sign=-1.0) for fake in weights)
    upper = max(_likely_end(weight, reward, unseen=(fake, high), alpha=alpha, sign=1.0) for fake in weights)
    return Bounds(max(low, lower), min(high, upper))


def _likely_end(weight: F64, reward: F64, *, unseen: tuple[float, float], alpha: float, sign: float) -> float:
    """Weights q = (1 + δ)/n cost Σ δ²; Σ q w = 1 fixes δ along w, and what is left of w r bounds the rest."""
    n, (fake, worst) = len(weight), (unseen[0], unseen[0] * unseen[1])
    mean_w = (total(n, lambda rows: weight[rows]) + fake) / (n + 1)
    mean_v = (total(n, lambda rows: weight[rows] * reward[rows]) + worst) / (n + 1)

    def added(term: Callable[[F64, F64], F64]) -> float:
        """The sum of a term of (w, w r), both less their means, over all rows and the unseen one."""
        last = float(term(np.array([fake - mean_w]), np.array([worst - mean_v]))[0])
        return last + total(n, lambda rows: term(weight[rows] - mean_w, weight[rows] * reward[rows] - mean_v))

    slope = added(np.multiply) / max(added(lambda w, _: w * w), NO_SPREAD)
    spread = sqrt(added(lambda w, v: np.square(v - slope * w)) / (n + 1))
    width = float(-stdtrit(n, alpha)) * spread / sqrt(n + 1)
    return mean_v + slope * (1.0 - mean_w) + sign * width


def rows_until(moments: Moments, target: float, *, alpha: float, power: float = 0.8) -> float:
    """Rows in all at which the sequence would separate the mean from `target` with this power, were the estimated
    mean and variance the truth. Infinite when there is nothing to separate."""
    gap = abs(moments.mean - target)
    if moments.n < 2 or gap < 1e-12:  # what rounding leaves of nothing
        return inf
    n, width = _widths(alpha, power)
    first = int(np.searchsorted(-width, -gap / max(sqrt(moments.variance), 1e-300)))
    return float(np.ceil(n[first])) if first < len(n) else inf


@lru_cache(maxsize=256)
def _widths(alpha: float, power: float) -> tuple[F64, F64]:
    """Rows 2 … 10¹² in steps of 2 %, and at each the gap, in standard deviations of a value, seen with this power."""
    n = np.geomspace(2.0, 1e12, 1400)
    return n, np.array([boundary(m, alpha=alpha) for m in n]) + float(ndtri(power)) / np.sqrt(n)
