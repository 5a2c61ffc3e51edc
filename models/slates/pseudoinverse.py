"""Weights of the pseudoinverse estimator. Swaminathan, Krishnamurthy, Agarwal, Dudík, Langford, Jose & Zitouni 2017.

Where a slate's expected reward is Σ_l φ(l, a_l), its value under π is q_πᵀφ with q_π the probabilities of each arm in
each slot; and φ is what least squares finds of the log: E_p[r 1_s] = Γ φ with Γ = E_p[1_s 1_sᵀ], where 1_s has a one
for each (slot, arm) of the slate. So the weight of a slate is G = q_πᵀ Γ† 1_s (§3)."""

import numpy as np

from croupier.features.batch import F64, I64
from croupier.models.slates.enumeration import every_slate

SMALL = 1e-10  # of Γ's greatest eigenvalue: below, a direction that the log cannot tell
OUTSIDE = 1e-6  # of q_π, outside what the log can tell


def weights(logged: F64, target_at: F64) -> F64:
    """Returns (B, N): G of every slate, from the log's joint propensities (B, N) of every slate and the policy's
    probabilities (B, k, K) of arms in slots. Raises ValueError where the policy shows what the log cannot tell."""
    B, k, K = target_at.shape
    slates = every_slate(K, k)
    found = np.empty((B, len(slates)))
    for row in range(B):
        q = target_at[row].reshape(-1)
        inverse = np.linalg.pinv(gram(logged[row], slates, K), rcond=SMALL, hermitian=True)
        slope = inverse @ q
        missed = float(np.abs(gram(logged[row], slates, K) @ slope - q).max())
        if missed > OUTSIDE:
            raise ValueError(
                f"pseudoinverse: found {missed:.2g} of the policy's probability of an arm in a slot of row {row} that "
                "the log's slates do not tell; expected a log that draws every arm of the policy in every slot"
            )
        found[row] = slope.reshape(k, K)[np.arange(k), slates].sum(axis=1)
    return found


def gram(logged: F64, slates: I64, K: int) -> F64:
    """Γ (k·K, k·K): the log's probability of each two arms in two slots, from joint propensities (N,) of slates
    (N, k)."""
    n, k = slates.shape
    ones = np.zeros((n, k * K))
    ones[np.arange(n)[:, None], slates + K * np.arange(k)] = 1.0
    return np.asarray((ones * logged[:, None]).T @ ones)
