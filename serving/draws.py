"""From a pmf to an arm: the draw depends on the event alone, so it can be repeated later, anywhere, in any batch."""

from bisect import bisect_right
from collections.abc import Sequence
from math import nextafter

import numpy as np

from features.batch import F64, I64, Bool
from features.ids import uniforms


class PolicyFailed(RuntimeError):
    """A policy answered something that is not a probability distribution: says what was found."""


def guard(pmf: F64, mask: Bool) -> F64:
    """The pmf (B, K), once seen to be one: finite, ≥ 0, zero where masked, rows summing to 1 within 1e-6; a mass that
    was rounded to more than 1 is 1."""
    if pmf.shape != mask.shape:
        raise PolicyFailed(f"found a pmf of shape {pmf.shape}, expected {mask.shape}")
    off = np.maximum.reduce(np.abs(np.add.reduce(pmf, axis=1) - 1.0), initial=0.0)  # NaN where any is
    if off <= 1e-6 and np.minimum.reduce(pmf, axis=None, initial=0.0) >= 0 and not np.count_nonzero(pmf > mask):
        return pmf
    if not np.isfinite(pmf).all():
        raise PolicyFailed("found NaN or infinity in a pmf")
    if (pmf < 0).any() or pmf[~mask].any():
        raise PolicyFailed("found negative mass, or mass outside the candidates, in a pmf")
    if off > 1e-6:
        raise PolicyFailed("found a pmf whose row does not sum to 1")
    return np.minimum(pmf, 1.0)


def draw(pmf: F64, salt: str, event_ids: Sequence[str]) -> I64:
    """(B,) positions: the first whose cumulative mass exceeds u = uniform01(salt, event_id). Never one of mass 0."""
    chosen = []
    for row, u in zip(pmf.cumsum(axis=1).tolist(), uniforms(salt, event_ids), strict=True):
        total = row[-1]
        chosen.append(bisect_right(row, min(u * total, nextafter(total, 0.0))))  # u·Σ may round up to Σ itself
    return np.array(chosen, np.int64)
