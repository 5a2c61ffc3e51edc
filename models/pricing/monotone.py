"""Demand that does not rise with the price: each draw of a demand curve is projected onto the curves that fall.

The projection is weighted isotonic regression: the nearest non-increasing curve, Σ w (d − d̂)² with w the precision of
each price's demand. Projecting draws of a posterior gives draws of one under the constraint (Lin & Dunson 2014,
"Bayesian monotone regression using Gaussian process projection", Biometrika 101). By the min-max formula

    d̂_k = min over i ≤ k of max over j ≥ k of the weighted mean of d_i … d_j

(Barlow, Bartholomew, Bremner & Brunk 1972, "Statistical inference under order restrictions", §1.4), which is what pool
adjacent violators computes, without loops that depend on the data: a request has the same bits in any batch.
"""

from typing import cast

import numpy as np

from croupier.features.batch import F64, I64, Bool

LEAST_VARIANCE = 1e-12  # of a price's demand over the draws: one that never varies has a finite weight, too


def falling(demand: F64, price: F64, mask: Bool) -> F64:
    """The draws (B, K, S) of demand, made non-increasing in the price (B, K) for each request and draw; what is masked
    is 0. Candidates of one price are in no order among themselves. Weights are 1 / the variance over the draws.

    Raises ValueError for a candidate whose demand or price is no finite number."""
    if not (np.isfinite(demand[mask]).all() and np.isfinite(price[mask]).all()):
        raise ValueError("demand: found NaN or infinity at a candidate, expected finite numbers; check the features")
    known = np.where(mask[:, :, None], demand, 0.0)
    weight = np.where(mask, 1.0 / np.maximum(known.var(axis=2), LEAST_VARIANCE), 0.0)[:, :, None]
    order = _by_price(known, np.where(mask, price, np.inf))
    sorted_weight = np.take_along_axis(np.broadcast_to(weight, order.shape), order, 1)
    whole = np.broadcast_to(order, known.shape)
    fitted, found = _pooled(np.take_along_axis(known, whole, 1), sorted_weight), np.empty_like(known)
    np.put_along_axis(found, whole, fitted, 1)
    return np.where(mask[:, :, None], found, 0.0)


def _by_price(demand: F64, price: F64) -> I64:
    """(B, K, 1): candidates from the least price on; what is masked, whose price is infinite, comes last. Where prices
    are equal (B, K, S): of these the larger demand comes first, so that no order is imposed on them (the primary
    approach to ties: Kruskal 1964)."""
    order = np.argsort(price, axis=1, kind="stable")
    rising = np.take_along_axis(price, order, 1)
    if not ((rising[:, 1:] == rising[:, :-1]) & np.isfinite(rising[:, 1:])).any():
        return order[:, :, None]
    ranks = np.broadcast_to(price[:, :, None], demand.shape)
    return cast("I64", np.lexsort((-demand, ranks), axis=1))


def _pooled(demand: F64, weight: F64) -> F64:
    """The min-max formula along the second axis of demand (B, K, S) and weight (B, K, 1 or S); weights of 0 are at its
    end."""
    d, w = (np.ascontiguousarray(np.moveaxis(x, 1, 0)) for x in (demand, weight))  # candidates first: whole rows
    found, mean, weighed = np.full(d.shape, np.inf), np.empty_like(d), w * d
    for i in range(len(d)):
        total, sums = np.zeros_like(w[i]), np.zeros_like(d[i])
        for j in range(i, len(d)):
            sums += weighed[j]
            total += w[j]
            np.divide(sums, np.where(total > 0, total, 1.0), out=mean[j])
        for j in range(len(d) - 1, i, -1):
            np.maximum(mean[j - 1], mean[j], out=mean[j - 1])
        np.minimum(found[i:], mean[i:], out=found[i:])
    return np.moveaxis(found, 0, 1)
