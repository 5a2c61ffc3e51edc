"""Do the units that came split as the share says? A sequential test that may be looked at whenever one likes.

Bayes factor of a Beta prior around the share against the share itself (Lindon & Malek, NeurIPS 2022): under the share
it is a martingale of mean 1, so it ever exceeds 1/α with probability at most α. A χ² re-checked at each look does not
have that. The prior's spread is a tenth of the share: losses of that size are found soonest.
"""

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betaln

from croupier.features.batch import F64

ALPHA = 0.004
SPREAD = 0.10  # prior standard deviation, relative to the share


def log_bayes_factor(candidate: ArrayLike, champion: ArrayLike, share: float) -> F64:
    """Returns the log Bayes factor of `candidate` and `champion` units (any shape) that were split with probability
    `share` in (0, 1)."""
    n1, n0 = np.asarray(candidate, np.float64), np.asarray(champion, np.float64)
    weight = (1 - share) / (share * SPREAD**2)
    a, b = weight * share, weight * (1 - share)
    return np.asarray(betaln(a + n1, b + n0) - betaln(a, b) - n1 * np.log(share) - n0 * np.log1p(-share))


def mismatch(candidate: int, champion: int, share: float, *, alpha: float = ALPHA) -> bool:
    """True when the share is refuted at level alpha."""
    return bool(0 < share < 1 and log_bayes_factor(candidate, champion, share) >= np.log(1 / alpha))
