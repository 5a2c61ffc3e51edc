"""Do two unbiased estimators agree, and do the weights average 1? Then no feature can have known the draw unseen.

With f fixed before the draw, Σ_a π(a|x) f(x, a) − w f(x, A) has mean zero, w = π(A|x)/p. f = q̂ gives DR − IPS: a reward
model that leans on a feature made after the draw shows there. f = 1 gives 1 − w: a *policy* that reads such a feature,
or that wants arms which the log could not draw, shows there. Neither needs more than the drawn arm's propensity.

Both hold however rare an arm is (models/ope/mean_zero.py); where they could not be told from chance they are not made.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from croupier.features.batch import F64, Floats, Interactions
from croupier.features.encoded.on_disk import blocks
from croupier.models.ope.mean_zero import drawn, inverse, needed, smallest
from croupier.models.ope.self_tests import ROUNDING, rows_drawn_alone
from croupier.models.ope.unchecked import Unchecked

NAME = "estimators_agree"


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """`p`: p-value that the estimators agree; `unchecked` says why they could not be compared."""

    p: float
    unchecked: tuple[Unchecked, ...] = ()


def agreement(log: Interactions, pmfs: Sequence[F64], predicted: Floats) -> Agreement:
    """For the policies of these pmfs (n, K): the candidate first, and the champion that it is held against; `predicted`
    (n, K) is q̂. It counts as made where it could be made of the candidate."""
    samples = rows_drawn_alone(log)
    parts = [(log[rows], pmf[rows], predicted[rows]) for rows in samples for pmf in pmfs]
    each = [[_p_value(part, pmf, None), _p_value(part, pmf, q)] for part, pmf, q in parts]
    found = smallest([p for both in each for p in both])
    made = smallest(each[0]) is not None
    why = Unchecked(name=NAME, reason=needed(len(parts[0][0])), blocks=True)
    return Agreement(p=1.0 if found is None else found, unchecked=() if made else (why,))


def _p_value(log: Interactions, pmf: F64, predicted: Floats | None) -> float | None:
    """Returns the p-value of Σ_a π f − π f / p at the arm drawn; f = q̂, or 1. What rounded propensities leave of it is
    no disagreement."""

    def wanted(rows: slice) -> F64:
        f = 1.0 if predicted is None else predicted[rows]
        return np.where(log.batch.mask[rows], pmf[rows] * f, 0.0)

    def gap(rows: slice) -> F64:
        f = wanted(rows)
        return np.asarray(f.sum(axis=1, keepdims=True) - f * inverse(log, rows))

    scale = sum(float(np.abs(wanted(rows).sum(axis=1)).sum()) for rows in blocks(len(log))) / len(log)
    return drawn(log, gap).p_value(tolerance=ROUNDING * scale)
