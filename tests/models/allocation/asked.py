"""Requests to allocate, and policies that know their columns."""

import numpy as np

from croupier.features.batch import Interactions
from croupier.models.allocation.request import AllocationRequest, joined

TOKENS = np.array([64.0, 128.0, 256.0, 400.0])
OPTIONS = np.eye(4, dtype=np.float32)[:, 1:]


def one(rng, *, items=4, d_u=3, d_a=2, total=150.0, **more):
    """A request with random features, `total` a patch."""
    return AllocationRequest(
        context=rng.normal(size=d_u).astype(np.float32),
        items=rng.normal(size=(items, d_a)).astype(np.float32),
        options=OPTIONS,
        cost=TOKENS,
        total=total * items,
        **more,
    )


def log(rng, requests, *, crossed):
    """Interactions of the requests' items: options at random, rewards that rise with tokens where a feature says so."""
    batch = joined(requests, crossed=crossed)
    n, m = batch.mask.shape
    chosen = rng.integers(m, size=n)
    liked = batch.catalogue.features[batch.arm[:, 0], 0]
    return Interactions(
        batch=batch,
        chosen=chosen,
        reward=liked * TOKENS[chosen] / 400 + 0.1 * rng.normal(size=n),
        propensity=np.full(n, 1 / m),
        pmf=np.full((n, m), 1 / m),
        at=np.arange(n),
        unit=np.arange(n, dtype=np.uint64),
        weight=np.ones(n),
    )
