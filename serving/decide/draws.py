"""From a pmf to an arm: the draw depends on the event alone, so it can be repeated later, anywhere, in any batch."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate

import numpy as np

from croupier.features.batch import F64
from croupier.features.ids import uniforms

MANY = 16  # rows from which numpy is cheaper than a loop over them


def draw(pmf: Iterable[Iterable[float]], salt: str, event_ids: Sequence[str]) -> list[int]:
    """A position in each row of masses: the first whose cumulative mass exceeds u = uniform01(salt, event_id). Never
    one of mass 0. Tested against `draw` of tests/models/plain_formulas.py."""
    chosen = []
    for row, u in zip(pmf, uniforms(salt, event_ids), strict=True):
        cumulative = list(accumulate(row))
        chosen.append(bisect_right(cumulative, u * cumulative[-1]))  # u ≤ 1 − 2⁻⁵³, so that u·Σ never rounds up to Σ
    return chosen


def draw_rows(pmf: F64, salt: str, event_ids: Sequence[str]) -> list[int]:
    """As `draw`, of an array (B, K) whose rows may end in zeros: the same sums in the same order, hence the same
    arms."""
    if len(pmf) < MANY:
        return draw(pmf.tolist(), salt, event_ids)
    cumulative, u = np.cumsum(pmf, axis=1), np.fromiter(uniforms(salt, event_ids), np.float64, len(pmf))
    found: list[int] = (cumulative <= (u * cumulative[:, -1])[:, None]).sum(axis=1).tolist()
    return found
