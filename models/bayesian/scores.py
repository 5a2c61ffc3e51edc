"""What posterior draws expect of every candidate: the numbers behind Thompson sampling's votes."""

import numpy as np

from croupier.features.batch import F64, Batch
from croupier.models.bayesian.arrays import host, product
from croupier.models.bayesian.base import Bayesian
from croupier.models.bayesian.heads import SharedHead


def drawn_scores(policy: Bayesian, batch: Batch) -> F64:
    """(S, B, K): what each of the S draws of a shared head expects of each candidate, on the scale on which the head
    learns; every request has K candidates. φ is computed once for all of them. Raises ValueError for a head per arm, or
    where some candidates are masked."""
    head, (B, K) = policy.heads, batch.mask.shape
    if not isinstance(head, SharedHead):
        raise ValueError(f"{policy.name}: found a head per arm, expected a shared one, whose draws score any candidate")
    if not batch.mask.all():
        raise ValueError(f"batch: found requests of fewer than {K} candidates, expected as many for each")
    policy.check(batch)
    weights = head.drawn(seed=policy.seed, draws=policy.parameters["draws"], device=policy.device)
    scores = host(product(policy.phi(batch), weights)).astype(np.float64)
    return np.ascontiguousarray(scores.reshape(B, K, -1).transpose(2, 0, 1))
