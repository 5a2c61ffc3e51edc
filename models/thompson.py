"""Thompson sampling by votes: S posterior draws, fixed by (seed, posterior step), elect each request's arms.

Given the draws, the share of votes *is* the probability of the choice, so the logged propensity is exact. The draws
depend on nothing in the batch: the same request has the same pmf alone, in any company, on any host.
"""

from collections.abc import Callable
from typing import cast

import numpy as np
import torch
from torch import Tensor

from features.batch import F64, I64, Batch, Bool
from models.network import product
from models.posterior import Posterior

ITEMS = 1 << 24  # scores held at once: rows are taken in slices so that rows · K · S stays below


def draws(head: Posterior, *, seed: int, count: int, device: str) -> Tensor:
    """(d, S) float32 draws of the head's weights."""
    sample = head.sample(np.random.default_rng([seed, head.step]), count)
    return torch.from_numpy(sample.astype(np.float32)).to(device)


@torch.no_grad()
def pmf(batch: Batch, phi: Callable[[Batch], Tensor], weights: Tensor) -> F64:
    """(B, K) share of votes; `phi` gives (n, d) features of a batch's candidates in the order of its mask, `weights`
    (d, S) are the draws."""
    B, K = batch.mask.shape
    rows = max(1, ITEMS // (K * weights.shape[1]))
    parts = [_votes(product(phi(part), weights), part.mask)
             for part in (batch[slice(i, i + rows)] for i in range(0, B, rows))]  # fmt: skip
    return np.concatenate(parts) if parts else np.zeros((0, K))


def _votes(scores: Tensor, mask: Bool) -> F64:
    (B, K), S = mask.shape, scores.shape[1]
    if mask.all():
        s = scores.view(B, K, S)
    else:
        s = scores.new_full((B, K, S), -torch.inf)
        s[torch.tensor(mask, device=scores.device)] = scores
    won: I64 = (s >= s.amax(1, keepdim=True)).sum(2).cpu().numpy()  # a tie gives a vote to each: rare, and shared below
    return cast("F64", won / won.sum(axis=1, keepdims=True))
