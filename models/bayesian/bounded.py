"""What a Bayesian head is sure of: bounds of each candidate's worth that hold for all candidates of a request at once.

The posterior of φᵀw is Student's t around φᵀm, with 2a degrees of freedom and scale √(b/a · φᵀ(A + λI)⁻¹φ) (Murphy
2007, eq. 208); each of K candidates has a quantile of 1 − (1 − confidence) / 2K, so that all 2K bounds hold together
with probability `confidence` (Bonferroni). Units are those on which the head learns.
"""

from typing import TYPE_CHECKING

import numpy as np

from croupier.features.batch import F64, Batch
from croupier.models.bayesian.heads import ArmHeads, SharedHead

if TYPE_CHECKING:
    from croupier.models.bayesian.base import Bayesian


def unbounded(batch: Batch) -> tuple[F64, F64]:
    """Bounds (B, K) of a policy that has learnt nothing."""
    return np.full(batch.mask.shape, -np.inf), np.full(batch.mask.shape, np.inf)


def within(policy: "Bayesian", batch: Batch, confidence: float) -> tuple[F64, F64]:
    """Lower and upper bounds (B, K)."""
    from scipy.special import stdtrit  # a server without [safety] starts sooner

    policy.check(batch)
    heads, phi = policy.heads, policy.phi(batch)
    if isinstance(heads, SharedHead):
        mean = heads.bounds(batch, phi, alpha=0.0, device=policy.device)
        a, b = heads.posterior.noise
        scale, freedom = np.sqrt(b / a) * (heads.bounds(batch, phi, alpha=1.0, device=policy.device) - mean), 2 * a
    elif isinstance(heads, ArmHeads):  # √(b/(a − 1)) and the prior's freedom: nowhere narrower than each arm's own
        mean, scale = heads.normals(batch, phi, device=policy.device)
        freedom = 2 * heads.prior.a0
    else:
        raise TypeError(f"{policy.name}: found {type(heads).__name__}, expected a shared head or one an arm")
    K = np.maximum(batch.mask.sum(axis=1, keepdims=True), 1)
    width = stdtrit(freedom, 1 - (1 - confidence) / (2 * K)) * scale
    return mean - width, mean + width
