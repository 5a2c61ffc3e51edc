"""Slates that a Bayesian policy's posterior draws elect: greedy in each draw, exact over the draws.

The draws are the policy's own, fixed by (seed, posterior step), so the first slot's marginal is the policy's pmf, and
the slates of a request are the same alone, in any company, on any host."""

import numpy as np

from croupier.features.batch import Batch
from croupier.models.bayesian.arrays import host
from croupier.models.bayesian.base import Bayesian
from croupier.models.bayesian.heads import SharedHead
from croupier.models.slates.policies import TopVotes


def elected(policy: Bayesian, batch: Batch, k: int) -> TopVotes:
    """The top k arms of each posterior draw, for B requests. Raises ValueError where the policy has no trained shared
    head whose draws could elect, or does not draw."""
    heads, parameters = policy.heads, policy.parameters
    if policy.sizes is None or not isinstance(heads, SharedHead) or parameters["explore"] == "ucb":
        found = "an untrained one" if policy.sizes is None else f"heads {parameters['heads']}, {parameters['explore']}"
        raise ValueError(f"{policy.name}: found {found}, expected a trained policy with a shared head that draws")
    weights = host(heads.drawn(seed=policy.seed, draws=parameters["draws"], device=policy.device))
    B, K = batch.mask.shape
    scores = np.empty((B, K, weights.shape[1]), np.float32)
    for place in range(K):
        phi = policy.features(batch, np.full(B, place))
        scores[:, place] = phi.astype(np.float32) @ weights
    return TopVotes.of_scores(scores, batch.mask, k)
