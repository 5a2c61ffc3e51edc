"""A policy that has learnt that reward grows with the inner product of a request and an arm."""

import numpy as np

from croupier.features.batch import Batch, Catalogue, Interactions


def log_of(context, catalogue, arm, reward):
    """A log of decisions among one arm each: what a head with a shared posterior learns from, whoever else was there."""
    n = len(arm)
    batch = Batch(
        context=context.astype(np.float32),
        arm=arm[:, None],
        mask=np.ones((n, 1), dtype=bool),
        pair=np.zeros((n, 1, 0), np.float32),
        catalogue=catalogue,
    )
    return Interactions(
        batch=batch,
        chosen=np.zeros(n, np.int64),
        reward=reward,
        propensity=np.ones(n),
        pmf=np.ones((n, 1)),
        at=np.arange(n),
        unit=np.arange(n, dtype=np.uint64),
        weight=np.ones(n),
    )


def learnt(policy, d, *, rows=3_000, arms=500, seed=1):
    """The policy, of `rows` uniform decisions among `arms` arms."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(arms, d)).astype(np.float32)
    catalogue = Catalogue(ids=tuple(map(str, range(arms))), features=features, digest="")
    context, arm = rng.normal(size=(rows, d)), rng.integers(0, arms, rows)
    reward = 0.1 * (context * catalogue.features[arm]).sum(axis=1) + rng.normal(0, 0.1, rows)
    return policy.learn([log_of(context, catalogue, arm, reward)], seed=seed)
