"""Scores to probabilities: every function returns a whole pmf (B, K), zero where masked, rows summing to 1.

Scores are (B, K), larger is better; `mask` (B, K) is True on candidates. The VW forms (`squarecb`, `eliminate`,
`greedy`, `enforce_minimum`) repeat Vowpal Wabbit 9.11.9's arithmetic, ties included, so that we can serve it.

They are written for speed. tests/models/plain_formulas.py has each as its paper writes it, one request at a time, and
is what they are tested against.
"""

from collections.abc import Callable
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from croupier.features.batch import F64, I64, Bool

Scores = NDArray[np.floating[Any]]
ALIKE = 1e-6  # of two pmfs, below which a difference is rounding and nothing to be explored
VW_TIE = 1e-4  # VW's are_same_rel (vw_math.h), by which its greedy calls scores tied


class PolicyFailed(RuntimeError):
    """A policy answered something that is not a probability distribution: says what was found."""


def guard(pmf: F64, mask: Bool) -> F64:
    """The pmf (B, K), once seen to be one: finite, ≥ 0, zero where masked, rows summing to 1 within 1e-6; a mass that
    was rounded to more than 1 is 1."""
    if pmf.shape != mask.shape:
        raise PolicyFailed(f"found a pmf of shape {pmf.shape}, expected {mask.shape}")
    totals = np.add.reduce(pmf, axis=1).tolist() or [1.0]
    off = max(max(totals) - 1.0, 1.0 - min(totals))  # of rows without a NaN: that is the least where any is
    if off <= 1e-6 and _least(pmf) >= 0 and not np.count_nonzero(pmf > (1.0 if all_true(mask) else mask)):
        return pmf
    if not np.isfinite(pmf).all():
        raise PolicyFailed("found NaN or infinity in a pmf")
    if (pmf < 0).any() or pmf[~mask].any():
        raise PolicyFailed("found negative mass, or mass outside the candidates, in a pmf")
    if off > 1e-6:
        raise PolicyFailed("found a pmf whose row does not sum to 1")
    return np.minimum(pmf, 1.0)


def all_true(x: Bool) -> bool:
    """np.all at a fifth of its price: a request by itself costs what its numpy calls cost."""
    return bool(np.count_nonzero(x) == x.size)


def _least(x: F64) -> float:
    """The least of all, NaN if any is: by its place, which is found in a fifth of the time of x.min()."""
    return float(x.item(x.argmin())) if x.size else 0.0


def _of_rows(x: F64) -> Any:
    """(…, 1), a number a row; of one row a float, which ufuncs take more cheaply than an array they must stretch."""
    return x.item() if x.size == 1 else x


def counts(mask: Bool) -> Any:
    """Candidates of each row (…, 1); one float, which is the cheapest to work with, where no row is padded."""
    return float(mask.shape[-1]) if all_true(mask) else np.add.reduce(mask, axis=-1, keepdims=True, dtype=np.float64)


def check(scores: Scores, mask: Bool) -> Any:
    """The `counts`. Raises ValueError for a row without candidates or a candidate without a finite score."""
    if scores.shape[-2:] != mask.shape:
        raise ValueError(f"scores: found shape {scores.shape}, expected (…, B, K) of the mask {mask.shape}")
    k = counts(mask)
    if not (k if isinstance(k, float) else k.all()):
        row = int(np.flatnonzero(~mask.any(axis=-1))[0]) if mask.size else 0
        raise ValueError(f"mask: found no candidate in row {row}, expected at least one arm in every request")
    if not all_true(np.isfinite(scores)) and not np.isfinite(scores[..., mask]).all():
        raise ValueError(_NOT_FINITE)
    return k


_NOT_FINITE = "scores: found NaN or infinity at a candidate, expected finite numbers; check the features"


def uniform(mask: Bool) -> F64:
    """1/K on each of a row's K candidates."""
    return cast("F64", mask / counts(mask))


def with_floor(pmf: F64, mask: Bool, epsilon: float | F64) -> F64:
    """(1 − ε)·pmf + ε/K: every candidate keeps at least ε/K, and the logged propensity stays exact. ε is one number, or
    (B, 1), a request's own."""
    if not (0 <= epsilon <= 1 if isinstance(epsilon, float | int) else ((epsilon >= 0) & (epsilon <= 1)).all()):
        raise ValueError(f"floor: found {epsilon}, expected a share between 0 and 1")
    k = counts(mask)
    return cast("F64", (1 - epsilon) * pmf + epsilon * (1.0 / k if isinstance(k, float) else mask / k))


def with_floor_toward(pmf: F64, other: F64, mask: Bool, epsilon: float | F64, share: float) -> F64:
    """Spends the ε of `with_floor`, a `share` of it where it tells `other` from `pmf`, the rest uniform.

    Who asks for the difference of two policies' values pays Σ (π₁ − π₀)² / p for each draw, least where p goes with
    |π₁ − π₀| (Neyman 1934). What the policy itself and the uniform part already draw is filled up to c·|π₁ − π₀|: on a
    champion's log that is the candidate's arms, on a uniform one both sides'. Every candidate keeps at least
    (1 − share)·ε/K, and the logged propensity stays exact: it is an entry of what is drawn from."""
    if not 0 <= share < 1:
        raise ValueError(f"share: found {share}, expected one of at least 0 and below 1, so that every arm is drawn")
    base = (1 - epsilon) * pmf + epsilon * (1 - share) * uniform(mask)
    gap = np.where(mask, np.abs(other - pmf), 0.0)
    alike = gap.max(axis=-1, keepdims=True) <= ALIKE  # nothing to tell apart: uniformly
    gap = np.where(alike, mask, gap)
    wanted = gap > 0
    level = np.where(wanted, base / np.where(wanted, gap, 1.0), np.inf)
    order = np.argsort(level, axis=-1)
    filled, widths, levels = (np.take_along_axis(x, order, axis=-1) for x in (base, gap, level))
    heights = (epsilon * share + np.cumsum(filled, axis=-1)) / np.cumsum(widths, axis=-1)
    last = np.maximum((heights > levels).sum(axis=-1, keepdims=True) - 1, 0)
    height = np.take_along_axis(heights, last, axis=-1)
    mixed = base + np.maximum(np.where(wanted, height * gap - base, 0.0), 0.0)
    return cast("F64", np.where(alike, with_floor(pmf, mask, epsilon), mixed / mixed.sum(axis=-1, keepdims=True)))


def with_newcomers(pmf: F64, mask: Bool, new: Bool, share: float) -> F64:
    """(1 − ν)·pmf + ν·u, where u is uniform over a row's new candidates; rows without one stay as they are."""
    if not 0 <= share <= 1:
        raise ValueError(f"share of new arms: found {share}, expected a share between 0 and 1")
    fresh = new & mask
    n = fresh.sum(axis=-1, keepdims=True)
    mixed = (1 - share) * pmf + share * fresh / np.maximum(n, 1)
    return cast("F64", np.where(n > 0, mixed, pmf))


def greedy(scores: Scores, mask: Bool, *, tie: float = 0.0, order: I64 | None = None) -> F64:
    """All mass on the best candidate. s ties with the best where |s − best| ≤ tie·(|s| + |best|); ties share the mass,
    or the one of lowest `order` (B, K) takes it (VW's --first_only, which takes the first in the request)."""
    check(scores, mask)
    masked = np.where(mask, scores, -np.inf)
    best = masked.max(axis=-1, keepdims=True)
    tied = mask & (best - masked <= tie * (np.abs(np.where(mask, scores, 0.0)) + np.abs(best)))
    return uniform(tied if order is None else _first(tied, order))


def _first(tied: Bool, order: I64) -> Bool:
    """Returns those of the tied that have the lowest order."""
    placed = np.where(tied, order, np.iinfo(np.int64).max)
    return cast("Bool", tied & (placed == placed.min(axis=-1, keepdims=True)))


def squarecb(scores: Scores, mask: Bool, gamma: float, *, order: Callable[[], I64] | None = None) -> F64:
    """p_a = 1 / (K + γ·(best − score_a)), the rest on the best (Foster & Rakhlin 2020, eq. 3; VW's squarecb.cc).

    VW passes γ = gamma_scale · t^gamma_exponent. Where several tie for the best, one of them takes the rest and each
    other has 1/K by the formula: the one of lowest `order()` (B, K), so that pmfs depend on the arms and not on their
    places in a request (VW takes the first in the request); it is called where some tie. Without `order` the ties share
    alike, which at a large γ learns slower: arms never tried tie exactly, and nothing then tells them apart (pendigits:
    loss .53 for .40).
    """
    if not gamma >= 0:
        raise ValueError(f"gamma: found {gamma}, expected a number ≥ 0")
    k = check(scores, mask)
    full = isinstance(k, float)
    masked = scores if full else np.where(mask, scores, -np.inf)
    top = _of_rows(np.maximum.reduce(masked, axis=-1, keepdims=True))
    best = masked == top
    tied = np.count_nonzero(best) > best.size // best.shape[-1]
    if tied and order is not None:
        best = _first(best, order())
    gap = top - masked if full else np.where(mask, top - masked, 0.0)
    p = 1.0 / (k + gamma * gap)
    np.putmask(p, best if full else best | ~mask, 0.0)
    rest = 1.0 - _of_rows(np.add.reduce(p, axis=-1, keepdims=True))
    if tied and order is None:
        return cast("F64", p + rest * uniform(best))
    np.copyto(p, rest, where=best)
    return cast("F64", p)


def eliminate(low: Scores, high: Scores, mask: Bool) -> F64:
    """Uniform over the candidates that may still be the best: whose upper bound reaches the highest lower bound
    (RegCB by elimination, Foster et al. 2018; VW's cb_explore_adf_regcb.cc, there in costs)."""
    check(low, mask)
    check(high, mask)
    return uniform(mask & (high >= np.where(mask, low, -np.inf).max(axis=-1, keepdims=True)))


def enforce_minimum(pmf: F64, mask: Bool, epsilon: float) -> F64:
    """VW's floor: the nearest pmf, in Euclidean distance, with at least ε/K everywhere (the projection of Duchi et al.
    2008, fig. 1; VW's explore_internal.h). Unlike `with_floor` it leaves a pmf already above ε/K as it is."""
    if epsilon == 0 or epsilon > 0.999:
        return pmf if epsilon == 0 else uniform(mask)
    k = counts(mask)
    least = epsilon / k
    spare = pmf - least  # to be projected onto the simplex of mass 1 − ε
    full = isinstance(k, float)
    if not full:
        spare[~mask] = -2.0
    falling = spare.copy()
    falling.sort(axis=-1)
    sums = falling[..., ::-1].cumsum(axis=-1)
    # the threshold of the first j, (Σ − (1 − ε))/j, rises up to the j that is meant and falls from there on
    tau = np.maximum.reduce((sums - (1 - epsilon)) / np.arange(1.0, mask.shape[-1] + 1), axis=-1, keepdims=True)
    kept = np.maximum(spare - _of_rows(tau), 0.0) + least
    return cast("F64", kept if full else np.where(mask, kept, 0.0))


def votes(scores: Scores, mask: Bool) -> F64:
    """Returns the share of posterior draws each candidate wins: scores (S, B, K), one of S draws a slice. The pmf of
    Thompson sampling *given the draws*, hence exact as a propensity. A draw tied between n arms gives each 1/n of its
    vote."""
    check(scores, mask)
    masked = np.where(mask, scores, -np.inf)
    won = masked == masked.max(axis=-1, keepdims=True)
    return cast("F64", (won / won.sum(axis=-1, keepdims=True)).mean(axis=0))


def best_of_normals(mean: F64, sd: F64, mask: Bool, *, nodes: int = 64) -> F64:
    """P(arm a is the largest) for independent N(mean, sd²), (B, K) each: ∫ φ_a(x) Π_{j≠a} Φ_j(x) dx.

    By the trapezoid over where the largest can lie (64 nodes): error ≤ 1e-7. Rows in which some arm in question is
    too narrow for that grid take a grid per arm, K times the work: error about 1e-2. Rows are normalised, since what is
    logged must be what is drawn from.
    """
    check(mean, mask)
    sd = np.maximum(sd, 1e-12 * (1 + np.abs(mean)))
    low = np.where(mask, mean - 6 * sd, -np.inf).max(axis=1, keepdims=True)
    high = np.where(mask, mean + 6 * sd, -np.inf).max(axis=1, keepdims=True)
    narrow = (mask & (mean + 6 * sd > low) & (sd < (high - low) / (nodes - 1))).any(axis=1)
    p, z = np.zeros(mask.shape), np.linspace(-6, 6, 2 * nodes)
    if not narrow.all():
        rows = ~narrow
        x = (low + (high - low) * np.linspace(0, 1, nodes))[rows]
        own = np.exp(-0.5 * ((x[:, None] - mean[rows][:, :, None]) / sd[rows][:, :, None]) ** 2) / sd[rows][:, :, None]
        p[rows] = (own * _others_below(x[:, None], mean[rows], sd[rows], mask[rows])).sum(axis=2)
    for a in range(mask.shape[1]) if narrow.any() else ():
        x = mean[narrow, a, None] + sd[narrow, a, None] * z
        below = _others_below(x[:, None], mean[narrow], sd[narrow], mask[narrow])
        p[narrow, a] = (below[:, a] * np.exp(-0.5 * z**2)).sum(axis=1)
    p = np.where(mask, p, 0.0)
    return cast("F64", p / p.sum(axis=1, keepdims=True))


def _others_below(x: F64, mean: F64, sd: F64, mask: Bool) -> F64:
    """Returns (B, K, nodes): Π_{j≠a} Φ_j(x), from the products before and after a, for no division is safe here."""
    from scipy.special import ndtr  # for per-arm heads only: a server without them starts sooner

    below = np.where(mask[:, :, None], ndtr((x - mean[:, :, None]) / sd[:, :, None]), 1.0)
    ones = np.ones_like(below[:, :1])
    before = np.cumprod(np.concatenate([ones, below[:, :-1]], axis=1), axis=1)
    after = np.cumprod(np.concatenate([ones, below[:, :0:-1]], axis=1), axis=1)[:, ::-1]
    return cast("F64", before * after)
