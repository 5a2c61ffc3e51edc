"""A normal limit's lower bound, corrected for the skewness of what is averaged.

On a champion's log few rows draw what the candidate wants, and each counts for many: a lift's values are a little below
zero often, far above it rarely. With n rows a mean of such values has a skewness of γ / √n, and where that is .3 and
more a symmetric bound errs on both sides: it promotes too seldom here, and too often where the sign is turned (a log of
the candidate's like). Hall's transformation (1992), monotone and with a closed inverse, takes the skewness out of
Student's ratio S = (mean − truth) / s:

    √n · (S + γ S² / 3 + γ² S³ / 27 + γ / 6n)   is nearly normal.

The sample's third moment is shrunk, like the variance, towards what the pmfs foretell: E[(w₁ − w₀)³] · E[(r − E r)³].
It is known less well than the variance, so that a bar may be raised by the whole of it and lowered by KEPT of it only,
by at most MOST standard errors, and only where `lowered` says so: at a plan's last look, where the most rows are in.
"""

from math import inf, sqrt

import numpy as np

from croupier.features.batch import F64, I64
from croupier.features.encoded.columns import by_number, mean, total
from croupier.models.gate.bounds.steadied import NO_SPREAD, carried_by
from croupier.models.ope.estimators import Moments

PRIOR_ROWS = 50.0
KEPT = 0.5
MOST = 0.8


def skewness(values: F64, divergence: F64, reward: F64, moments: Moments, unit: I64 | None = None) -> float:
    """γ of one value; `moments` are the steadied ones of these values, `divergence` (n, 3). Rows of a unit add up, as
    they do in the moments' variance."""
    if moments.n < 2 or moments.m2 <= 0.0:
        return 0.0
    middle = mean(values)
    found = cubes(values, middle) if unit is None else cubes(by_number(unit, values, middle))
    foretold = mean(divergence[:, 2]) * cubes(reward, mean(reward)) / len(reward)
    carried = carried_by(values, divergence)
    third = (carried * found / moments.n + PRIOR_ROWS * foretold) / (carried + PRIOR_ROWS)
    return float(third / moments.variance**1.5)


def cubes(values: F64, about: float = 0.0) -> float:
    """Returns Σ (v − about)³."""
    return total(len(values), lambda rows: (values[rows] - about) ** 3)


def lower(moments: Moments, skew: float, z: float, *, lowered: bool) -> float:
    """The truth at which the transformed ratio is just z: above it with the probability that z stands for."""
    if moments.n < 2 or moments.variance <= (NO_SPREAD * max(1.0, abs(moments.mean))) ** 2 or z == inf:
        return -inf
    return moments.mean - corrected(moments.n, skew, z, lowered=lowered) * moments.standard_error


def corrected(n: float, skew: float, z: float, *, lowered: bool) -> float:
    """How many standard errors stand for z where n values of this skewness are averaged."""
    if skew > 0.0 and not lowered:
        return z
    gamma = KEPT * skew if skew > 0.0 else skew
    target = z / sqrt(n) - gamma / (6.0 * n)
    ratio = target if abs(gamma) < 1e-6 else 3.0 * (float(np.cbrt(1.0 + gamma * target)) - 1.0) / gamma
    return max(sqrt(n) * ratio, z - MOST)


def upper(moments: Moments, skew: float, z: float, *, lowered: bool) -> float:
    """Corrects an upper bound as `lower` does a lower one."""
    return -lower(Moments(moments.n, -moments.mean, moments.m2), -skew, z, lowered=lowered)
