"""What an allocation's rewards teach: a reward for each item, or one for the whole request.

Rewards of items are ordinary interactions, a row an item, with the exact marginal as the propensity; any policy learns
them by `learn` or `update`. A reward of the whole request is the sum of what the items add, so its φ is the sum of
theirs: one row a request is exact least squares for the additive model (semi-bandits know more: Kveton et al. 2015).
The sum holds the context and the constant n times, so the request's own level is fitted beside what the items add: the
control variate that keeps easy and hard requests from being read as good and bad allocations.
"""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from croupier.features.batch import F64, I64, Interactions
from croupier.models.allocation.request import AllocationRequest, joined
from croupier.models.bayesian.base import Bayesian

P = TypeVar("P", bound=Bayesian)


def of_items(
    requests: Sequence[AllocationRequest],
    chosen: Sequence[I64],
    marginals: Sequence[F64],
    rewards: Sequence[F64],
    *,
    crossed: bool,
    at: I64 | None = None,
) -> Interactions:
    """Interactions of items: options chosen (n,), marginals (n, m) and rewards (n,) of each request."""
    batch, options, pmf = joined(requests, crossed=crossed), np.concatenate(chosen), np.concatenate(marginals)
    n, owner = len(options), np.repeat(np.arange(len(requests)), [len(each) for each in chosen])
    return Interactions(
        batch=batch,
        chosen=options,
        reward=np.concatenate(rewards),
        propensity=pmf[np.arange(n), options],
        pmf=pmf,
        at=owner if at is None else at[owner],
        unit=owner.astype(np.uint64),
        weight=np.ones(n),
    )


def of_requests(
    policy: P, requests: Sequence[AllocationRequest], chosen: Sequence[I64], rewards: F64, *, crossed: bool
) -> P:
    """The policy after whole-request rewards (R,): its shared head learns one row of summed φ for each request."""
    phi = policy.features(joined(requests, crossed=crossed), np.concatenate(chosen))
    starts = np.cumsum([0, *(len(each) for each in chosen[:-1])])
    summed: F64 = np.add.reduceat(phi, starts, axis=0)
    return policy.with_head(policy.head.update(summed, policy.standardise(rewards)))
