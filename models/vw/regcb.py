"""RegCB's bounds on costs, as VW has them (Foster et al. 2018, Practical contextual bandits with regression oracles).

A cost may be believed to be as low as an example, of the largest weight w that the data would still bear, would move
it. How far a unit of weight moves it is VW's *sensitivity*: the learning rates of the terms, as they would be were that
example learnt now. So a bound needs of every term what VW's gradient descent keeps beside its weight.
"""

from dataclasses import dataclass
from typing import cast

import numpy as np

from croupier.features.batch import F32, F64, Bool

TINY = 1e-100  # keeps terms never seen, and absent here, at 0 / TINY = 0
HUGE = 1e6  # of costs, beyond which float32 could overflow
HALVES = 2.0 ** np.arange(1, 21)[:, None, None]
BLOCK = 50_000  # terms at a time, to stay in cache


@dataclass(frozen=True, kw_only=True, eq=False)
class Rates:
    """What VW's gd keeps of the terms u_i·x_j, u being [1; context] and x [1; arm; pair]: `squares` (1 + d_u, 1 + d_x),
    sums of squared gradients, and `scale`, the largest size seen, infinite where a term is left out. Over all terms:
    `norm`, the sum of squared sizes, each by its scale, and `weight`, that of importance weights."""

    squares: F64
    scale: F64
    norm: float
    weight: float
    learning_rate: float


def sensitivity(rates: Rates, u: F64, x: F64, error: F32) -> F64:
    """Returns (B, K): how far a unit of importance moves the cost of an example at `error` (B, K) from its label, by u
    (B, 1 + d_u) and x (B, K, 1 + d_x) (gd.cc, pred_per_update_feature, get_pred_per_update, sensitivity)."""
    row, i = np.nonzero(u)  # row by row: zeros cost nothing, and every row has its constant
    moved, norm = np.empty((2, len(row), error.shape[1]))
    inverse, squares = 1 / np.maximum(rates.scale, TINY), np.maximum(rates.squares, TINY)
    step = max(1, BLOCK // (x.shape[1] * x.shape[2]))
    for part in (slice(at, at + step) for at in range(0, len(row), step)):
        size = np.abs(u[row[part], i[part], None, None] * x[row[part]])
        share = np.minimum(size * inverse[i[part], None], 1.0)
        gradient = 2 * error[row[part], :, None] * size  # of (cost − label)², by the weight
        np.einsum("pkx,pkx->pk", share, share, out=norm[part])
        np.einsum("pkx,pkx->pk", share, size / np.sqrt(squares[i[part], None] + gradient**2), out=moved[part])
    starts = np.searchsorted(row, np.arange(len(u)))
    moved, norm = np.add.reduceat(moved, starts, axis=0), np.add.reduceat(norm, starts, axis=0)
    return cast("F64", rates.learning_rate * moved * np.sqrt((rates.weight + 1) / (rates.norm + norm)))


def allowance(mask: Bool, *, mellowness: float, steps: int) -> F64:
    """Returns (B, 1): the squared error that a cost's bound may give away, of K candidates and after so many
    examples."""
    return cast("F64", mellowness * np.log(np.maximum(mask.sum(axis=1, keepdims=True) * steps, 1)))


def lowest(cost: F64, allowed: F64, rates: Rates, u: F64, x: F64) -> F32:
    """Returns (B, K): the least each cost may be, in [0, 1], by an example of label −1 (cb_explore_adf_regcb.cc)."""
    known = cost.clip(0.0, HUGE).astype(np.float32)
    error = known + np.float32(1)
    return cast("F32", (known - _reach(error, sensitivity(rates, u, x, error), allowed)).clip(0, 1))


def highest(cost: F64, allowed: F64, rates: Rates, u: F64, x: F64) -> F32:
    """Returns (B, K): the most each cost may be, in [0, 1], by an example of label 2."""
    known = cost.clip(-HUGE, 1.0).astype(np.float32)
    error = np.float32(2) - known
    return cast("F32", (known + _reach(error, sensitivity(rates, u, x, error), allowed)).clip(0, 1))


def _reach(error: F32, sensitivity: F64, allowed: F64) -> F32:
    """s·w of the largest weight w for which w·(e² − (e − s·w)²) ≤ allowed, e the error and s the sensitivity, as VW's
    halving of [0, e/s] finds it: it stops early, mostly within 2e-4, and arms that all but tie show it.

    The bits of the cubic's root say where halving goes; its twenty middles are tried at once, in VW's float32."""
    s, most = sensitivity.clip(1 / HUGE**2, HUGE**2).astype(np.float32), allowed.astype(np.float32)
    right = np.minimum(s * most / error**3, np.float32(1)).astype(np.float64)
    root = np.abs(2 + 4 * np.cos((np.arccos(1 - 27 / 16 * right) + 4 * np.pi) / 3)) / 3  # s·w/e, in [0, 1]
    below = np.floor(root * HALVES / 2) * 2 / HALVES
    middle = below + 1 / HALVES
    w = middle.astype(np.float32) * (error / s)
    over = w * (error * error - (error - s * w) * (error - s * w)) - most
    stop = (np.abs(over) <= 1e-6) | (error / s <= 1e-6 * HALVES) | (HALVES[-1] == HALVES)
    at = stop.argmax(axis=0)[None]
    found = np.take_along_axis(np.where(over > 0, below, middle), at, axis=0)[0]
    return cast("F32", error * np.where(right < 1, found, 1.0).astype(np.float32))
