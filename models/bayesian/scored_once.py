"""A Bayesian policy's scores, made once for a batch: what elects among any part of its candidates.

Each candidate's score under each draw, its bound, or its normal law depends on no other candidate, so it is that of the
same candidate in a shorter list, to the bit (arrays.product); what is left is then elected anew, from the same draws.
"""

from collections.abc import Mapping
from typing import Any

from croupier.features.batch import F64, Batch, Left
from croupier.models import exploration
from croupier.models.bayesian import thompson
from croupier.models.bayesian.arrays import Array
from croupier.models.bayesian.heads import ArmHeads, Head, SharedHead
from croupier.models.policy import Among


def uniform(left: Left) -> F64:
    """What an untrained policy makes of what is left."""
    return exploration.uniform(left.mask)


def by_heads(heads: Head, parameters: Mapping[str, Any], batch: Batch, phi: Array, seed: int) -> Among:
    """Returns what gives the pmf of the policy with these heads and parameters, from φ (n, d) of the batch."""
    device = parameters["device"]
    if parameters["explore"] == "ucb":
        bounds = heads.bounds(batch, phi, alpha=parameters["alpha"], device=device)
        return lambda left: exploration.greedy(_priced(left, bounds), left.mask)
    if isinstance(heads, SharedHead):
        drawn = heads.drawn(seed=seed, draws=parameters["draws"], device=device)
        return thompson.among(thompson.scores(batch, phi, drawn))
    if not isinstance(heads, ArmHeads):
        raise TypeError(f"heads: found {type(heads).__name__}, expected SharedHead or ArmHeads")
    mean, sd = heads.normals(batch, phi, device=device)
    return lambda left: exploration.best_of_normals(_priced(left, mean), left.take(sd), left.mask)


def _priced(left: Left, scores: F64) -> F64:
    """The scores (n, k) of what is left of (B, K), less its prices."""
    return left.take(scores) if left.price is None else left.take(scores) - left.price
