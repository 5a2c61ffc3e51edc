"""Thompson sampling by votes: S posterior draws, fixed by (seed, posterior step), elect each request's arms.

Given the draws, the share of votes *is* the probability of the choice, so the logged propensity is exact. The draws
depend on nothing in the batch: the same request has the same pmf alone, in any company, on any host.
"""

from typing import TYPE_CHECKING

import numpy as np

from croupier.features.batch import F64, Batch, Bool, Left
from croupier.models.bayesian.arrays import Array, beside, best, host, on, product, total
from croupier.models.policy import Among

if TYPE_CHECKING:
    from croupier.models.bayesian.posterior import Posterior  # scoring needs numpy alone


def draws(head: "Posterior", *, seed: int, count: int, device: str) -> Array:
    """Returns (d, S) float32 draws of the head's weights."""
    sample = head.sample(np.random.default_rng([seed, head.step]), count)
    return on(np.ascontiguousarray(sample, dtype=np.float32), device)


def pmf(batch: Batch, phi: Array, weights: Array) -> F64:
    """Returns (B, K) share of votes, from φ (n, d) of the candidates in the order of the mask, and the draws (d, S)."""
    return votes(scores(batch, phi, weights))


def scores(batch: Batch, phi: Array, weights: Array) -> Array:
    """Returns (B, K, S): what each draw makes of each candidate, −inf where masked."""
    mask, flat = batch.mask, product(phi, weights)
    if mask.all():
        found = flat.reshape(*mask.shape, -1)
    else:
        place = (mask.ravel().cumsum() - 1).clip(min=0).reshape(mask.shape)
        found = without(flat[beside(place, flat)], mask)
    return paid(found, batch)


def without(scored: Array, mask: Array) -> Array:
    """Returns the scores (B, K, S) with −inf in the place of what is masked; they are overwritten."""
    scored[beside(~mask, scored)] = -np.inf
    return scored


def paid(scored: Array, batch: Batch) -> Array:
    """Returns the scores (B, K, S) less the batch's prices, where it has some."""
    return less(scored, batch.price)


def less(scored: Array, price: F64 | None, *, kept: bool = True) -> Array:
    """Returns the scores (B, K, S) less prices (B, K), where there are any; they are overwritten if not `kept`."""
    if price is None:
        return scored
    off = beside(np.asarray(price, np.float32), scored)[:, :, None]
    if kept:
        return scored - off
    scored -= off
    return scored


def among(scored: Array) -> Among:
    """Returns what gives shares of votes over what is left, from scores (B, K, S) in units of its prices. It is for one
    thread."""
    (B, K, S), rows = scored.shape, scored.reshape(-1, scored.shape[-1])
    every = np.arange(B)

    def found(left: Left) -> F64:
        if left.whole:
            return votes(less(scored, left.price))
        flat = left.rows[:, None] * K + left.place
        if left.price is None and np.array_equal(left.rows, every):
            keep = np.zeros(B * K, bool)
            keep[flat[left.mask]] = True
            shares = _over(rows, ~keep, B).take(flat)
            return shares if left.mask.all() else np.where(left.mask, shares, 0.0)
        part = rows[beside(flat.ravel(), scored)].reshape(*left.mask.shape, S)
        return votes(less(part if left.mask.all() else without(part, left.mask), left.price, kept=False))

    return found


def _over(rows: Array, out: Bool, B: int) -> F64:
    """Returns the shares of votes (B, K) of scores (B·K, S) but for those `out` (B·K,), which have none: these few are
    covered and uncovered, in a tenth of the time that it takes to copy the others."""
    covered = beside(np.flatnonzero(out), rows)
    before = rows[covered]
    rows[covered] = -np.inf
    try:
        return votes(rows.reshape(B, -1, rows.shape[-1]))
    finally:
        rows[covered] = before


def votes(scored: Array) -> F64:
    """Returns (B, K) share of draws that each arm wins; scores (B, K, S), −inf where masked. A tie between arms gives a
    vote to each, and all are then shared: rare, and alike for arms that are alike."""
    won = scored >= best(scored)[:, None]
    counts: F64 = host(total(won)).astype(np.float64)
    shares: F64 = counts / np.add.reduce(counts, 1, keepdims=True)
    return shares
