"""Rewards of whole requests to allocate: φ of a request is the sum of its items', and so is what it is worth.

One row a request is exact least squares for a reward that is a sum over items (semi-bandits know more: Kveton et al.
2015). The sum holds the context and the constant once an item, so a request's own level is fitted beside what its items
add: the control variate that keeps easy and hard requests from being read as good and bad allocations."""

import numpy as np

from croupier.features.batch import F64, Interactions
from croupier.features.budgets.allocated_item import rows_of_requests
from croupier.models.bayesian.posterior import Phi

Learnt = tuple[Phi, F64, F64]


def by_request(chunk: Interactions, phi: Phi, reward: F64, weight: F64) -> Learnt:
    """φ (n, d), rewards and weights (n,) of a chunk's rows, with one row for each request that was rewarded as a whole
    in the place of its items: their φ added up, and the reward that each of them has."""
    if chunk.batch.allocation is None:
        return phi, reward, weight
    whole = [rows for items, rows in rows_of_requests(chunk.batch.allocation) if items[0].whole]
    if not whole:
        return phi, reward, weight
    single = np.setdiff1d(np.arange(len(chunk)), np.concatenate(whole))
    first = np.array([rows[0] for rows in whole])
    summed = np.stack([phi[rows].sum(axis=0) for rows in whole])
    parts = ((phi[single], summed), (reward[single], reward[first]), (weight[single], weight[first]))
    joined = [np.concatenate(pair) for pair in parts]
    return joined[0], joined[1], joined[2]
