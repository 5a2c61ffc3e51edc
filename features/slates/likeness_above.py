"""What likeness to the arms above takes off the candidates of many slates, whose slots are decided together.

The same prices as those of one slot after the other (SlateRules.prices), to the bit: arms of a catalogue are told apart
by a number for each of their traits.
"""

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np

from croupier.features.batch import F64, I64

NONE = -1  # of an arm without the trait, which is like nothing


class LikenessAbove:
    """What n slates know of likeness: `codes` (n, K, T) are the traits of their candidates; being alike in all of them
    costs `most`."""

    def __init__(self, codes: I64, most: float) -> None:
        self._codes, self._most = codes, most
        self._alike = np.zeros(codes.shape[:2], np.int64)

    def show(self, rows: I64, places: I64) -> None:
        """The slates `rows` (m,) show their candidates at `places` (m,)."""
        codes = self._codes[rows]
        same = (codes == codes[np.arange(len(rows)), places][:, None]) & (codes != NONE)
        self._alike[rows] = np.maximum(self._alike[rows], np.add.reduce(same, 2, dtype=np.int64))

    def prices(self, rows: I64) -> F64:
        """(m, K): what comes off each candidate of the slates `rows` (m,), in units of reward."""
        found: F64 = self._most * (self._alike[rows] / self._codes.shape[2])
        return found


def codes_of(traits: Sequence[Sequence[Any]]) -> I64 | None:
    """(A, T): a number for each trait of some arms, the same for the same; None where one is no text, number or truth,
    so that numbers do not tell what is alike."""
    known: dict[tuple[bool, Hashable], int] = {}
    found = np.full((len(traits), len(traits[0]) if traits else 0), NONE)
    for row, each in enumerate(traits):
        for column, value in enumerate(each):
            if value is None or value != value:  # noqa: PLR0124 - NaN
                continue
            if not isinstance(value, str | bool | int | float):
                return None
            found[row, column] = known.setdefault((isinstance(value, bool), value), len(known))
    return found
