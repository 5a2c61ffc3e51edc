"""Hard limits of a decision: the nearest pmf that satisfies them, exactly.

    euclidean   argmin_p Σ (p_k − q_k)²              p_k = clip(q_k + s_g, low_k, high_k)
    kl          argmin_p Σ p_k log(p_k / q_k)        p_k = clip(q_k · s_g, low_k, high_k)

(The KKT conditions; Duchi et al. 2008, "Efficient projections onto the l1-ball", for the simplex.) Each arm is a
clipped line in one number s, so a sum of arms is piecewise linear and rises in s: sorting its 2K kinks finds the s of a
given sum exactly. Categories nest: the number of category g is s itself, held between the numbers at which the category
has its floor and its cap, since a category's multiplier differs from the whole's only where its own limit binds. With
these as the arms' own bounds the rest is the same problem again: O(K log K) a request, no iteration.

The result is what is drawn from, so its entries are the propensities that are logged.
"""

from typing import Literal, cast

import numpy as np

from croupier.features.batch import F64
from croupier.models.constraints.limits import LimitBounds

Nearness = Literal["euclidean", "kl"]
Lines = tuple[F64, F64, F64, F64]  # slope, start, low, high of each arm, (n, K) each
UNREACHED = 1e-9  # of a sum, beyond rounding
LEAST_SLOPE = 1e-200  # a probability below it is none: its kink would be infinite


def project(pmf: F64, bounds: LimitBounds, *, by: Nearness = "kl") -> F64:
    """The nearest pmf (n, K) to `pmf` (n, K) within feasible `bounds`; a pmf within them comes back as it was, up to
    rounding.

    By KL an arm of no probability gets its floor and nothing above it. Raises ValueError where `pmf` is none, and where
    KL would have to give such arms more than their floors."""
    if pmf.shape != bounds.low.shape:
        raise ValueError(f"pmf: found shape {pmf.shape}, expected {bounds.low.shape}, that of the limits")
    if not np.isfinite(pmf).all() or (pmf < 0).any() or (abs(pmf.sum(axis=1) - 1) > 1e-6).any():
        raise ValueError("pmf: found rows that are no distribution, expected entries ≥ 0 that sum to 1")
    if by not in ("euclidean", "kl"):
        raise ValueError(f"by: found {by!r}, expected 'euclidean' or 'kl'")
    slope, start = (pmf, np.zeros_like(pmf)) if by == "kl" else (np.ones_like(pmf), pmf)
    low, high = bounds.low.copy(), bounds.high.copy()
    for g, name in enumerate(bounds.names):
        inside = bounds.group == g  # (K,), or (n, K): elsewhere a line that lies at 0
        if inside.any():
            own, edges = (np.where(inside, x, 0.0) for x in (slope, start)), (bounds.low, bounds.high)
            part = cast("Lines", (*own, *(np.where(inside, edge, 0.0) for edge in edges)))
            low = np.where(inside, _held(part, bounds.group_low[:, g], f"the floor of category {name}"), low)
            high = np.where(inside, _at(part, bounds.group_high[:, g]), high)
    return _held((slope, start, low, high), np.ones(len(pmf)), "a sum of 1")


def _held(lines: Lines, total: F64, what: str) -> F64:
    """(n, K): the lines where each row sums to `total` (n,), or to the nearest that it can. Raises ValueError saying
    `what` for a row that cannot rise so far."""
    found = _at(lines, total)
    missing = total - found.sum(axis=1)
    if (missing > UNREACHED).any():
        row = int(np.argmax(missing))
        raise ValueError(
            f"request {row}: found arms of probability 0 that need {missing[row]:.6g} of decisions "
            f"above their floors for {what}, expected some of the policy's own probability there; "
            "project by 'euclidean', or give the policy a floor of exploration"
        )
    return found


def _at(lines: Lines, total: F64) -> F64:
    """(n, K): the lines at the number by which each row sums to `total` (n,)."""
    slope, start, low, high = lines
    found: F64 = np.clip(start + slope * _solve(lines, total)[:, None], low, high)
    return found


def _solve(lines: Lines, total: F64) -> F64:
    """(n,) the s of each row's sum: from the last kink whose sum is not above the total, along the arms that rise
    there. Sums are taken anew at each kink: running ones lose arms of small probability to rounding."""
    slope, start, low, high = lines
    rises = slope > LEAST_SLOPE
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        begins, ends = (np.where(rises, (edge - start) / slope, 0.0) for edge in (low, high))
    kinks = np.sort(np.concatenate([begins, ends], axis=1), axis=1)  # (n, 2K)
    rows, last = np.arange(len(kinks)), kinks.shape[1] - 1
    below, above = np.zeros(len(kinks), dtype=np.int64), np.full(len(kinks), last)
    for _ in range(kinks.shape[1].bit_length()):  # halving
        middle = (below + above + 1) // 2
        fits = np.clip(start + slope * kinks[rows, middle, None], low, high).sum(axis=1) <= total
        below, above = np.where(fits, middle, below), np.where(fits, above, np.maximum(middle - 1, below))
    left, right = kinks[rows, below], kinks[rows, np.minimum(below + 1, last)]
    moving = rises & (begins <= left[:, None]) & (ends > left[:, None])
    still = np.where(moving, start, np.clip(start + slope * left[:, None], low, high)).sum(axis=1)
    rise = np.where(moving, slope, 0.0).sum(axis=1)
    s = np.divide(total - still, rise, out=left.copy(), where=rise > 0)
    return cast("F64", np.clip(s, left, right))
