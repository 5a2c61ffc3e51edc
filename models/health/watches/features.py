"""Drift of each feature: an hour's histogram against those of the same hours of the day, weekdays and weekends apart.

G = 2 Σ O log(O/E) is χ² under "nothing changed"; Wilson & Hilferty's cube root makes it normal, and its own course over
the baseline, each hour against the others, says how wide it is. So the threshold scales with the rows of an hour.
"""

from functools import partial

import numpy as np

from croupier.features.batch import F64, I64
from croupier.features.utc import HOUR
from croupier.models.health.drifted import drifted
from croupier.models.health.history import FeatureHours
from croupier.models.health.residuals import HEAVY
from croupier.models.health.season import DAY_HOURS, View
from croupier.models.health.symptom import Signal

BINS = 10
LEAST = 20.0  # values of an hour, without which it says nothing


def signals(view: View) -> list[Signal]:
    """Returns one signal a feature that the baseline has values of."""
    out = []
    for name, feature in view.history.features.items():
        counts = grouped(view, feature)
        if view.base(counts).sum() >= LEAST * DAY_HOURS:
            z = residuals(view, counts)
            c = np.full(view.R, HEAVY)
            out.append(Signal(watch="feature", about=name, z=z, c=c, tell=partial(drifted, view, name)))
    return out


def grouped(view: View, feature: FeatureHours) -> F64:
    """Returns (T, bins): at most BINS groups of bins of equal share in the baseline; new, missing and rare ones."""
    base = view.base(feature.counts).sum(axis=(0, 1))
    if feature.type == "numeric":
        group = _equal_shares(base)
        new = np.zeros(len(base), bool)
    else:
        group = np.minimum(np.argsort(np.argsort(-base, kind="stable"), kind="stable"), BINS - 1)
        new = base == 0
    out = np.zeros((len(feature.counts), BINS + 3))
    for k in range(BINS):
        out[:, k] = feature.counts[:, (group == k) & ~new].sum(axis=1)
    out[:, BINS] = feature.counts[:, new].sum(axis=1)
    out[:, BINS + 1 :] = feature.rest[:, 1:]
    return out


def _equal_shares(base: F64) -> I64:
    """Returns (B,) the group of each bin of a number. A bin that is worth a group by itself, such as the zeros of a
    number that is mostly zero, is one; the others are shared out among the groups that are left, in their order."""
    alone = np.flatnonzero(base > base.sum() / BINS)
    rest = np.where(np.isin(np.arange(len(base)), alone), 0.0, base)
    left = max(BINS - len(alone), 1)
    place = (np.cumsum(rest) - rest / 2) / max(rest.sum(), 1.0)
    group = np.minimum(place * left, left - 1).astype(np.int64)
    group[alone] = np.minimum(left + np.arange(len(alone)), BINS - 1)
    return np.asarray(group)


def kinds_of_hours(view: View) -> list[int]:
    """Returns (T,): the hour of the day, and 24 more at weekends; all days alike until a week is known."""
    hours = view.history.start // HOUR
    weekend = (
        (hours // DAY_HOURS + 3) % 7 > 4 if view.weekly else np.zeros(len(hours), bool)
    )  # 1970 began on a Thursday
    found: list[int] = (hours % DAY_HOURS + DAY_HOURS * weekend).tolist()
    return found


def reference(view: View, counts: F64) -> F64:
    """Returns (T, bins): the baseline's sums of the hours of the same kind, each baseline hour's own left out."""
    kinds, edge = np.array(kinds_of_hours(view)), view.m * view.P
    sums = np.zeros((2 * DAY_HOURS, counts.shape[1]))
    np.add.at(sums, kinds[:edge], counts[:edge])
    out: F64 = sums[kinds]
    out[:edge] -= counts[:edge]
    return out


def residuals(view: View, counts: F64) -> F64:
    """Returns (R,): how much more than usual the recent hours differ from those of the same kind."""
    wide = statistic(counts, reference(view, counts))
    edge = view.m * view.P
    normal = wide[:edge][np.isfinite(wide[:edge])]
    if len(normal) < DAY_HOURS:
        return np.zeros(view.R)
    z = (wide[edge:] - normal.mean()) / max(float(normal.std()), 0.3)
    return np.asarray(np.nan_to_num(z))


def statistic(counts: F64, against: F64) -> F64:
    """Returns (T,) the cube root of G over its degrees of freedom; NaN for an hour with too few values. Half of what
    chance alone gives is the least: an hour that is more like the others than that says nothing by it."""
    share = against.sum(axis=0) / max(float(against.sum()), 1.0)
    n, N = counts.sum(axis=1, keepdims=True), against.sum(axis=1, keepdims=True)
    due = n * (against + share + 1e-9) / (N + share.sum() + 1e-9)
    with np.errstate(divide="ignore", invalid="ignore"):
        G = 2 * np.where(counts > 0, counts * np.log(counts / due), 0.0).sum(axis=1)
    freedom = max(int((share > 1e-4).sum()) - 1, 1)
    widened = G / (freedom * (1 + n[:, 0] / np.maximum(N[:, 0], 1.0)))
    return np.where(n[:, 0] >= LEAST, np.cbrt(np.maximum(widened, 0.5)) * np.sqrt(4.5 * freedom), np.nan)
