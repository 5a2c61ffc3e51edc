"""From a pmf to an arm: the draw depends on the event alone, so it can be repeated later, anywhere, in any batch."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate

from croupier.features.ids import uniforms


def draw(pmf: Iterable[Iterable[float]], salt: str, event_ids: Sequence[str]) -> list[int]:
    """A position in each row of masses: the first whose cumulative mass exceeds u = uniform01(salt, event_id). Never
    one of mass 0. Tested against `draw` of tests/models/plain_formulas.py."""
    chosen = []
    for row, u in zip(pmf, uniforms(salt, event_ids), strict=True):
        cumulative = list(accumulate(row))
        chosen.append(bisect_right(cumulative, u * cumulative[-1]))  # u ≤ 1 − 2⁻⁵³, so that u·Σ never rounds up to Σ
    return chosen
