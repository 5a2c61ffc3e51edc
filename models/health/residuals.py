"""Residuals of variance 1 of an hour's sums, and of an hour's level, against the same hours of the weeks before."""

import numpy as np

from croupier.features.batch import F64
from croupier.models.health.season import DAY_HOURS, View, dispersion, expected, overall, without

HEAVY = 0.35  # c of a level, whose hours have somewhat heavier tails than the normal law


class Whole:
    """The course of everything: mean rewards (P,) of the hours of the period, and the same without each period."""

    def __init__(self, view: View, sums: F64) -> None:
        n, s = view.base(sums)[..., 0], view.base(sums)[..., 1]
        self.means = overall(n, s)
        self.left_out = [overall(without(n, k), without(s, k)) for k in range(view.m)]


def of_sums(view: View, sums: F64, whole: Whole, *, least: float = 1.0) -> tuple[F64, F64, float]:
    """Returns z (R,), c (R,) and the dispersion of the rewards in `sums` (T, ≥3: n, Σr, Σr²), given the course of
    everything. Rewards are within [0, 1]. z rises with the reward. `least`: the smallest dispersion that is taken."""
    base, now = view.base(sums), view.recent(sums)
    means = expected(base[..., 0], base[..., 1], whole.means)
    one, spread = variance(base, means), max(_spread(view, base, whole), least)
    due, var = now[:, 0] * means[: view.R], now[:, 0] * one[: view.R] * spread * (1 + 1 / view.m)
    scale = np.sqrt(np.maximum(var, 1e-12))
    z = np.where(now[:, 0] > 0, (now[:, 1] - due) / scale, 0.0)
    return z, np.minimum(spread / scale, 50.0), spread


def due_sums(view: View, sums: F64, whole: Whole) -> F64:
    """Returns (R,) the expected sum of rewards."""
    base = view.base(sums)
    return view.recent(sums)[:, 0] * expected(base[..., 0], base[..., 1], whole.means)[: view.R]


def variance(base: F64, means: F64) -> F64:
    """Returns (P,) the variance of one reward: E[r²] as in the baseline, in proportion to the mean."""
    ratio = float(base[..., 2].sum()) / max(float(base[..., 1].sum()), 1e-12)
    return np.asarray(np.maximum(means * ratio - means**2, 1e-9))


def _spread(view: View, base: F64, whole: Whole) -> float:
    """The dispersion of the baseline: each period against the others."""
    found = []
    for k in range(view.m):
        others = without(base, k)
        means = expected(others[..., 0], others[..., 1], whole.left_out[k])
        var = base[k, :, 0] * variance(others, means) * (1 + 1 / max(view.m - 1, 1))
        z = (base[k, :, 1] - base[k, :, 0] * means) / np.sqrt(np.maximum(var, 1e-12))
        found.append(np.where(base[k, :, 0] > 0, z, 0.0))
    return dispersion(np.stack(found))


def of_level(view: View, y: F64, behind: F64, *, least: float = 1e-6) -> tuple[F64, F64, F64]:
    """Returns (z, c, expected level), each (R,), of a level y (T,), NaN where an hour has none. `behind` (T,): how many
    values an hour's level is the mean of; `least`: the smallest standard deviation that is believed."""
    wide = _thinness(view, behind)
    base, now, own = view.base(y), view.recent(y), view.base(wide)
    left = np.stack([base[k] - _level(without(base, k)) for k in range(view.m)]) / own
    deviation = max(least, float(np.sqrt(np.nanmean(left**2))) if np.isfinite(left).any() else least)
    spread = dispersion(np.nan_to_num(left / deviation))
    means = _level(base)[: view.R]
    z = np.nan_to_num((now - means) / (view.recent(wide) * deviation * np.sqrt(spread)))
    return z, np.full(view.R, HEAVY), means


def _thinness(view: View, behind: F64) -> F64:
    """Returns (T,) by how much an hour's level is wider than usual, at least 1: a mean of a quarter of the usual number
    of values is twice as wide, so that a night is not taken for a change."""
    known = view.base(behind)[view.base(behind) > 0]
    usual = float(np.median(known)) if len(known) else 1.0
    return np.asarray(np.sqrt(np.maximum(usual / np.maximum(behind, 1.0), 1.0)))


def _level(base: F64) -> F64:
    """Returns (P,) the mean of each hour of the period, half way to its hour of the day's where weeks are few."""
    shape = (-1, DAY_HOURS)
    with np.errstate(invalid="ignore", divide="ignore"):
        days = _mean(base.reshape(shape))
        own = _mean(base)
    days = np.where(np.isfinite(days), days, _mean(base.reshape(-1, 1))[0])
    daily = np.tile(days, base.shape[1] // DAY_HOURS)
    share = len(base) / (len(base) + 2.0)
    return np.where(np.isfinite(own), share * own + (1 - share) * daily, daily)


def _mean(x: F64) -> F64:
    """Returns the mean of each column; NaN where it has nothing."""
    known = np.isfinite(x)
    n = known.sum(axis=0)
    return np.where(n > 0, np.where(known, x, 0.0).sum(axis=0) / np.maximum(n, 1), np.nan)
