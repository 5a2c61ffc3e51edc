"""All slates of k out of K arms, and what follows exactly from their joint propensities.

There are K (K − 1) … (K − k + 1) of them: 336 for 3 of 8, 6,840 for 3 of 20. Beyond LIMIT enumeration is refused, and
says what is exact there: the marginals of Plackett–Luce (marginals.py) and of votes (policies.py) need none."""

from functools import lru_cache
from itertools import permutations
from math import perm

import numpy as np

from croupier.features.batch import F64, I64
from croupier.models.gate.bounds.steadied import extremes, powers
from croupier.models.slates.policy import SlatePolicy

LIMIT = 100_000  # slates


@lru_cache(maxsize=8)
def every_slate(K: int, k: int) -> I64:
    """Returns (N, k): every ordered slate of k out of K places, in lexicographic order; read-only. Raises ValueError
    beyond LIMIT."""
    if not 1 <= k <= K:
        raise ValueError(f"slates: found {k} slots of {K} arms, expected 1 to {K}")
    if perm(K, k) > LIMIT:
        raise ValueError(
            f"slates: found {perm(K, k):,} of {k} out of {K} arms, expected at most {LIMIT:,} to enumerate; the "
            "marginals of Plackett–Luce and of votes are exact without it"
        )
    found = np.array(list(permutations(range(K), k)), np.int64)
    found.setflags(write=False)
    return found


def conditionals(policy: SlatePolicy, k: int) -> F64:
    """Returns (B, N, k): the conditional propensity of each slot of every slate. Its product over slots is the joint
    propensity, whose sum over slates is 1; below, where some draws would be refused."""
    B, K = policy.mask.shape
    slates = every_slate(K, k)
    found = np.zeros((B, len(slates), k))
    for slot in range(k):
        width = perm(K - slot, k - slot)  # slates that begin alike lie beside each other
        for first in range(0, len(slates), width):
            shown = np.broadcast_to(slates[first, :slot], (B, slot))
            rows = slice(first, first + width)
            found[:, rows, slot] = policy.rest(shown)[:, slates[rows, slot]]
    return found


def marginals(joint: F64, K: int, k: int) -> F64:
    """Returns (B, k, K): the probability of each arm in each slot, from joint propensities (B, N) of every slate. The
    sum over slots is the probability of being in the slate at all."""
    slates = every_slate(K, k)
    found = np.zeros((len(joint), k, K))
    for slot in range(k):
        for arm in range(K):
            found[:, slot, arm] = joint[:, slates[:, slot] == arm].sum(axis=1)
    return found


def foretold(logged: F64, candidate: F64, champion: F64) -> tuple[F64, F64]:
    """Returns what the gate asks of two policies' weights, from joint propensities (B, N) of every slate: divergence
    (B, 3) and reach (B, 2), as of arms (gate/bounds/steadied.py)."""
    return powers(logged, candidate, champion), extremes(logged, candidate, champion)


def unsupported(logged: F64, candidate: F64) -> F64:
    """Returns (B,): the candidate's mass on slates that the log could not draw."""
    return np.asarray(np.where(logged > 0, 0.0, candidate).sum(axis=1))
