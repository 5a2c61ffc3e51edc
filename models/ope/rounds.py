"""A log as a policy sees it: what it would have drawn, as served, on every logged round."""

from dataclasses import replace

import numpy as np

from croupier.features.batch import F64, I64, Batch, Floats, Interactions
from croupier.features.encoded.on_disk import blocks, zeros
from croupier.models.allocation.from_log import marginals
from croupier.models.constraints.held import DecisionLimits
from croupier.models.exploration import guard, with_floor
from croupier.models.ope.estimators import Rounds
from croupier.models.policy import Policy

BLOCK = 8192


def as_served(
    policy: Policy, batch: Batch, floor: float, limits: DecisionLimits | None = None, *, rows: int = 4096
) -> F64:
    """Returns (n, K): what the selector draws from: the policy's pmf of scores less prices, with the floor mixed in,
    within the limits, over the candidates that the rules of now leave (Batch.left_out). Raises PolicyFailed where it is
    none: the mass it has too much would be judged as reward."""
    if batch.allocation is not None:
        return _allocated(policy, batch, floor)
    keeping, found = DecisionLimits() if limits is None else limits, zeros(batch.mask.shape)
    for part in blocks(len(batch), rows):
        block = batch[part].by_rules
        block = block if keeping.prices is None else keeping.prices.on(block)
        block = keeping.safe(policy, block)
        pmf = with_floor(guard(policy.pmf(block), block.mask), block.mask, keeping.explored(block, floor))
        found[part] = keeping.held(pmf, block, floor)
    return found


def _allocated(policy: Policy, batch: Batch, floor: float) -> F64:
    """Returns (n, K): the marginals of items of requests to allocate, each request solved again under its budget."""
    single = np.flatnonzero(batch.allocation == "")
    found = marginals(policy, batch, floor=floor)
    if len(single):
        found[single] = as_served(policy, replace(batch[single], allocation=None), floor)
    return guard(found, batch.mask)


def rounds_of(log: Interactions, pmf: F64, predicted: Floats) -> Rounds:
    """The log as the policy with this pmf (n, K) sees it; `predicted` (n, K) is q̂."""
    if pmf.shape != log.pmf.shape:
        raise ValueError(f"pmf: found shape {pmf.shape}, expected that of the log's arms, {log.pmf.shape}")
    if log.chosen.min() < 0 or log.chosen.max() >= pmf.shape[1]:
        raise ValueError(f"chosen: found {log.chosen.min()} to {log.chosen.max()}, expected 0 to {pmf.shape[1] - 1}")
    target, q, direct = zeros((3, len(log)))
    first = np.arange(BLOCK) * pmf.shape[1]
    for rows in blocks(len(log), BLOCK):  # read in order; what is then picked lies in the cache
        p, predictions = pmf[rows], predicted[rows]
        np.einsum("nk,nk->n", p, predictions, out=direct[rows])
        place = first[: len(p)] + log.chosen[rows]
        target[rows], q[rows] = (table.reshape(-1).take(place, mode="clip") for table in (p, predictions))
    return Rounds(
        reward=log.reward, propensity=log.propensity, target=target, predicted=q, direct=direct, thinning=log.weight
    )


def of_groups(log: Interactions, pmf: F64, group: I64) -> tuple[F64, F64]:
    """π and p of the logged arm's group, (n,) each, for `off_policy.mips`; `group` (A,) of the catalogue's arms."""
    wanted, drawn = zeros((2, len(log)))
    for rows in blocks(len(log)):
        of_arm, chosen = group[log.batch.arm[rows]], log.chosen[rows]
        same = log.batch.mask[rows] & (of_arm == of_arm[np.arange(len(chosen)), chosen][:, None])
        wanted[rows] = (pmf[rows] * same).sum(axis=1)
        drawn[rows] = np.minimum((log.pmf[rows] * same).sum(axis=1), 1.0)
    return wanted, drawn
