"""Thompson sampling by votes: S posterior draws, fixed by (seed, posterior step), elect each request's arms.

Given the draws, the share of votes *is* the probability of the choice, so the logged propensity is exact. The draws
depend on nothing in the batch: the same request has the same pmf alone, in any company, on any host.
"""

from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch import Tensor

from croupier.features.batch import F64, Batch, Left
from croupier.models.bayesian.network import product
from croupier.models.policy import Among

if TYPE_CHECKING:
    from croupier.models.bayesian.posterior import Posterior  # scoring needs numpy and torch alone


def draws(head: "Posterior", *, seed: int, count: int, device: str) -> Tensor:
    """Returns (d, S) float32 draws of the head's weights."""
    sample = head.sample(np.random.default_rng([seed, head.step]), count)
    return torch.from_numpy(sample.astype(np.float32)).to(device)


def pmf(batch: Batch, phi: Tensor, weights: Tensor) -> F64:
    """Returns (B, K) share of votes, from φ (n, d) of the candidates in the order of the mask, and the draws (d, S)."""
    return votes(scores(batch, phi, weights))


def scores(batch: Batch, phi: Tensor, weights: Tensor) -> Tensor:
    """Returns (B, K, S): what each draw makes of each candidate, −inf where masked."""
    (B, K), S, mask = batch.mask.shape, weights.shape[1], batch.mask
    flat = product(phi, weights)
    if batch.price is not None:
        flat = flat - prices(batch, flat)[torch.tensor(mask, device=flat.device)][:, None]
    if mask.all():
        return flat.view(B, K, S)
    found = flat.new_full((B, K, S), -torch.inf)
    found[torch.tensor(mask, device=flat.device)] = flat
    return found


def prices(batch: Batch, like: Tensor) -> Tensor:
    """(B, K) the batch's prices, as numbers of the scores `like`."""
    return torch.from_numpy(np.asarray(batch.price)).to(device=like.device, dtype=like.dtype)


def among(scored: Tensor) -> Among:
    """Returns what gives shares of votes over what is left, from scores (B, K, S)."""
    (B, K, S), device = scored.shape, scored.device

    @torch.inference_mode()
    def found(left: Left) -> F64:
        if left.whole:
            return _shares(torch.ge(scored, scored.amax(1, keepdim=True), out=torch.empty_like(scored)))
        flat = torch.from_numpy((left.rows[:, None] * K + left.place).ravel()).to(device)
        part = scored.view(B * K, S).index_select(0, flat).view(*left.mask.shape, S)
        if not left.mask.all():
            part.masked_fill_(torch.from_numpy(~left.mask).to(device)[:, :, None], -torch.inf)
        return votes(part)

    return found


def votes(scored: Tensor) -> F64:
    """Returns (B, K) share of draws that each arm wins; scores (B, K, S), −inf where masked, are overwritten. A tie
    between arms gives a vote to each, and all are then shared: rare, and alike for arms that are alike."""
    return _shares(scored.ge_(scored.amax(1, keepdim=True)))


def _shares(won: Tensor) -> F64:
    """Shares (B, K) of draws won (B, K, S): 0 and 1 as floats, counted by a product, exactly."""
    counts = (won @ won.new_ones(won.shape[2])).double().cpu().numpy()
    return cast("F64", counts / counts.sum(axis=1, keepdims=True))
