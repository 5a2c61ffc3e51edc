"""From a pmf to an arm: the draw depends on the event alone, so it can be repeated later, anywhere, in any batch."""

from bisect import bisect_right
from collections.abc import Sequence
from math import nextafter

from features.batch import F64
from features.ids import uniforms
from models.exploration import PolicyFailed, guard

__all__ = ["PolicyFailed", "draw", "guard"]  # the gate has the same guard


def draw(pmf: F64, salt: str, event_ids: Sequence[str]) -> list[int]:
    """B positions: the first whose cumulative mass exceeds u = uniform01(salt, event_id). Never one of mass 0."""
    chosen = []
    for row, u in zip(pmf.cumsum(axis=1).tolist(), uniforms(salt, event_ids), strict=True):
        total = row[-1]
        chosen.append(bisect_right(row, min(u * total, nextafter(total, 0.0))))  # u·Σ may round up to Σ itself
    return chosen
