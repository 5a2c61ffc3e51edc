"""Thompson sampling by votes: S posterior draws, fixed by (seed, posterior step), elect each request's arms.

Given the draws, the share of votes *is* the probability of the choice, so the logged propensity is exact. The draws
depend on nothing in the batch: the same request has the same pmf alone, in any company, on any host.
"""

from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch import Tensor

from croupier.features.batch import F64, Batch
from croupier.models.bayesian.network import product

if TYPE_CHECKING:
    from croupier.models.bayesian.posterior import Posterior  # scoring needs numpy and torch alone


def draws(head: "Posterior", *, seed: int, count: int, device: str) -> Tensor:
    """Returns (d, S) float32 draws of the head's weights."""
    sample = head.sample(np.random.default_rng([seed, head.step]), count)
    return torch.from_numpy(sample.astype(np.float32)).to(device)


def pmf(batch: Batch, phi: Tensor, weights: Tensor) -> F64:
    """Returns (B, K) share of votes, from φ (n, d) of the candidates in the order of the mask, and the draws (d, S)."""
    (B, K), S, mask = batch.mask.shape, weights.shape[1], batch.mask
    scores = product(phi, weights)
    if batch.price is not None:
        scores = scores - prices(batch, scores)[torch.tensor(mask, device=scores.device)][:, None]
    if mask.all():
        return votes(scores.view(B, K, S))
    s = scores.new_full((B, K, S), -torch.inf)
    s[torch.tensor(mask, device=scores.device)] = scores
    return votes(s)


def prices(batch: Batch, like: Tensor) -> Tensor:
    """(B, K) the batch's prices, as numbers of the scores `like`."""
    return torch.from_numpy(np.asarray(batch.price)).to(device=like.device, dtype=like.dtype)


def votes(scores: Tensor) -> F64:
    """Returns (B, K) share of draws that each arm wins; scores (B, K, S), −inf where masked, are overwritten. A tie
    between arms gives a vote to each, and all are then shared: rare, and alike for arms that are alike."""
    won = scores.ge_(scores.amax(1, keepdim=True))  # 0 and 1 as floats: counted by a product, exactly
    counts = (won @ won.new_ones(won.shape[2])).double().cpu().numpy()
    return cast("F64", counts / counts.sum(axis=1, keepdims=True))
