"""From a pmf to an arm: the draw depends on the event alone, so it can be repeated later, anywhere, in any batch."""

from collections.abc import Sequence
from typing import cast

import numpy as np

from features.batch import F64, I64, Bool
from features.ids import uniform01


class PolicyFailed(RuntimeError):
    """A policy answered something that is not a probability distribution: says what was found."""


def guard(pmf: F64, mask: Bool) -> F64:
    """The pmf (B, K) itself, once seen to be one: finite, ≥ 0, zero where masked, rows summing to 1 within 1e-6."""
    if pmf.shape != mask.shape:
        raise PolicyFailed(f"found a pmf of shape {pmf.shape}, expected {mask.shape}")
    if not np.isfinite(pmf).all():
        raise PolicyFailed("found NaN or infinity in a pmf")
    if (pmf < 0).any() or pmf[~mask].any():
        raise PolicyFailed("found negative mass, or mass outside the candidates, in a pmf")
    if np.abs(pmf.sum(axis=1) - 1.0).max(initial=0.0) > 1e-6:
        raise PolicyFailed("found a pmf whose row does not sum to 1")
    return pmf


def draw(pmf: F64, salt: str, event_ids: Sequence[str]) -> I64:
    """(B,) positions: the first whose cumulative mass exceeds u = uniform01(salt, event_id). Never one of mass 0."""
    u = np.array([uniform01(salt, event) for event in event_ids])
    cumulative = pmf.cumsum(axis=1)
    chosen = (cumulative <= u[:, None] * cumulative[:, -1:]).sum(axis=1)
    last = pmf.shape[1] - 1 - (pmf[:, ::-1] > 0).argmax(axis=1)  # u·Σ may round up to Σ itself
    return cast("I64", np.minimum(chosen, last))
