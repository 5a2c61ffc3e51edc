"""Evidently's default drift tests of a column, after its documentation ("Data drift algorithm"), on our histograms.

At most 1,000 values of reference: numbers by Kolmogorov–Smirnov, categories by χ² (of two categories: a z-test, which
is χ² with one degree of freedom), drift at p < 0.05. More: numbers by Wasserstein's distance over the reference's
standard deviation, categories by Jensen–Shannon's distance, drift from 0.1 on. Numbers are those of the sketch, within
a tenth of the true ones. Evidently itself is no dependency of ours; tests/truth/evidently_itself.py holds this against
it.
"""

import numpy as np
from scipy import stats

from croupier.features.batch import F64
from croupier.features.health.sketch import middle
from croupier.models.health.history import FeatureHours, History
from croupier.models.health.season import DAY_HOURS, WEEK_HOURS

SMALL, P_VALUE, DISTANCE = 1000, 0.05, 0.1


def drifting(history: History) -> list[str]:
    """Returns the columns whose last day differs from the week before."""
    return [name for name, feature in history.features.items() if _drifts(feature)]


def _drifts(feature: FeatureHours) -> bool:
    now, before = (
        feature.counts[-DAY_HOURS:].sum(axis=0),
        feature.counts[-DAY_HOURS - WEEK_HOURS : -DAY_HOURS].sum(axis=0),
    )
    if not now.sum() or not before.sum():
        return False
    if before.sum() <= SMALL:
        return _p_value(feature.type, now, before) < P_VALUE
    if feature.type == "numeric":
        x = np.array([middle(int(key)) for key in feature.keys])
        return wasserstein(x, now, before) >= DISTANCE
    return jensen_shannon(now, before) >= DISTANCE


def _p_value(kind: str, now: F64, before: F64) -> float:
    if kind == "numeric":
        gap = np.abs(np.cumsum(now) / now.sum() - np.cumsum(before) / before.sum()).max()
        size = now.sum() * before.sum() / (now.sum() + before.sum())
        return float(stats.kstwobign.sf(gap * np.sqrt(size)))
    seen = (now + before) > 0
    if seen.sum() < 2:
        return 1.0
    return float(stats.chi2_contingency(np.stack([now[seen], before[seen]]), correction=False).pvalue)


def wasserstein(x: F64, now: F64, before: F64) -> float:
    """Wasserstein's distance over the standard deviation of the reference."""
    q = before / before.sum()
    deviation = float(np.sqrt((q * x**2).sum() - (q * x).sum() ** 2))
    return float(stats.wasserstein_distance(x, x, now, before)) / max(deviation, 1e-3)


def jensen_shannon(now: F64, before: F64) -> float:
    """The square root of Jensen–Shannon's divergence, in natural units."""
    p, q = now / now.sum(), before / before.sum()
    m = (p + q) / 2
    terms = [np.where(a > 0, a * np.log(np.where(a > 0, a, 1) / np.where(m > 0, m, 1)), 0).sum() for a in (p, q)]
    return float(np.sqrt(max(sum(terms) / 2, 0.0)))
