"""Arms that cannot be the best for a context are not drawn.

Where each arm's value lies between its bounds, an arm whose upper bound is below another's lower bound is worse than
that other one (successive elimination: Even-Dar, Mannor & Mansour 2006, "Action elimination and stopping conditions").
It is left out before the policy explores, so that the pmf over the others is exact. The guarantee is that of the
bounds: with bounds that all hold at once with probability 1 − δ, the best arm is never left out and no dominated one is
drawn, with probability 1 − δ.
"""

from typing import cast

import numpy as np

from croupier.features.batch import F64, Bool


def undominated(lower: F64, upper: F64, mask: Bool) -> Bool:
    """The candidates (B, K) whose upper bound is at least every candidate's lower bound; at least one a row.

    `lower`, `upper` (B, K) in units of reward, infinite where nothing is known. Raises ValueError for bounds that are
    NaN or the wrong way round at a candidate, and for a row without candidates."""
    if not lower.shape == upper.shape == mask.shape:
        raise ValueError(f"bounds: found shapes {lower.shape} and {upper.shape}, expected {mask.shape} of the mask")
    if not mask.any(axis=1).all():
        row = int(np.argmin(mask.any(axis=1)))
        raise ValueError(f"mask: found no candidate in row {row}, expected at least one arm in every request")
    wrong = mask & ~(lower <= upper)
    if wrong.any():
        row, k = np.argwhere(wrong)[0]
        found = f"[{lower[row, k]:g}, {upper[row, k]:g}]"
        raise ValueError(f"bounds: found {found} of arm {k} in row {row}, expected lower ≤ upper, and no NaN")
    highest = np.where(mask, lower, -np.inf).max(axis=1, keepdims=True)
    return cast("Bool", mask & (upper >= highest))
