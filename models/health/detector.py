"""When did a stream of standardised residuals change? An e-detector with a known average run length.

Under "nothing changed" E[e_t | past] ≤ 1 for e_t = exp(l z_t − (e^{lc} − 1 − lc)/c²): Bennett's inequality for
residuals of variance 1 that never exceed c. The Shiryaev–Roberts sum M_t = (1 + M_{t−1}) e_t then has E[M_t] ≤ t, and
the first time it reaches 1/α is no earlier than 1/α hours, on average (Shin, Ramdas & Rinaldo 2022, E-detectors;
Shekhar & Ramdas 2023). A mean of such sums over a grid of l is one, too: nobody need guess how large a change will be.
"""

from dataclasses import dataclass

import numpy as np

from croupier.features.batch import F64

GRID = np.array([0.25, 0.5, 1.0, 2.0, 3.0])  # l: strengths of change that are looked for, in standard deviations
CLIPPED = 8.0  # residuals beyond say no more: one absurd hour alone is not a change of everything


@dataclass(frozen=True, eq=False)
class Detected:
    """`log_m` (S,): nats of evidence of each stream at the end; `since` (S,): the hour from which it speaks."""

    log_m: F64
    since: list[int]


def detect(z: F64, c: F64) -> Detected:
    """Looks for a rise in each row of z (S, R); `c` (S, R) bounds a single decision's part of z. For a fall give −z."""
    return detected(increments(np.clip(z, -CLIPPED, CLIPPED), c))


def detected(steps: F64) -> Detected:
    """Sums log e_t (grid, S, R): of S streams, for as many alternatives as the GRID has."""
    log_m = np.full(steps.shape[:2], -np.inf)
    for t in range(steps.shape[2]):
        log_m = np.logaddexp(log_m, 0.0) + steps[:, :, t]
    best = log_m.argmax(axis=0)
    mixed = np.logaddexp.reduce(log_m, axis=0) - np.log(len(GRID))
    return Detected(mixed, [_since(steps[k, s]) for s, k in enumerate(best)])


def increments(z: F64, c: F64) -> F64:
    """Returns (grid, S, R): log e_t. With c → 0 it is l z − l²/2."""
    lam = GRID[:, None, None]
    a = lam * np.maximum(c, 1e-6)
    bennett = np.where(a < 1e-3, lam**2 / 2 * (1 + a / 3), (np.expm1(a) - a) / np.maximum(c, 1e-6) ** 2)
    return np.asarray(lam * z - bennett)


def _since(steps: F64) -> int:
    """Returns the start of the stretch that ends now and speaks most: the maximum-likelihood time of the change."""
    tail = np.cumsum(steps[::-1])[::-1]
    return int(tail.argmax())
