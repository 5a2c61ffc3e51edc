"""The minimums of many slates, whose slots are decided together: what `offers` (minimums.py) says, as arrays."""

from collections.abc import Sequence

import numpy as np

from croupier.features.batch import I64, Bool
from croupier.features.slates.minimums import Minimum

Held = tuple[Bool, I64]  # of one slate: (M, K) which of its candidates are of which minimum, (M,) the slots it asks for


class MinimumsAtOnce:
    """What n slates with up to `width` candidates still ask for. What is shown is told slot after slot."""

    def __init__(self, minimums: Sequence[Sequence[Minimum]], arms: Sequence[Sequence[str]], width: int) -> None:
        most = max(map(len, minimums), default=0)
        known: dict[int, Held] = {}  # slates that ask for the same of the same arms share one list (SlateRules.known)
        found = []
        for asked, listed in zip(minimums, arms, strict=True):
            if id(asked) not in known:
                known[id(asked)] = _of_slate(asked, listed, most, width)
            found.append(known[id(asked)])
        self._of = np.stack([of for of, _ in found])
        self._short = np.stack([slots for _, slots in found])

    def may(self, rows: I64, remaining: I64) -> Bool | None:
        """(m, K): what the next slots of the slates `rows` (m,) may show, of which each has so many `remaining` (m,);
        None: whatever is left."""
        short = np.maximum(self._short[rows], 0)
        asked = short.sum(axis=1)
        tight = (asked > 0) & (asked >= remaining)
        if not tight.any():
            return None
        of = (self._of[rows] & (short > 0)[:, :, None]).any(axis=1)
        return np.where(tight[:, None], of, True)

    def show(self, rows: I64, places: I64) -> None:
        """The slates `rows` (m,) show their candidates at `places` (m,)."""
        self._short[rows] -= self._of[rows, :, places]


def _of_slate(asked: Sequence[Minimum], arms: Sequence[str], most: int, width: int) -> Held:
    of, slots = np.zeros((most, width), np.bool_), np.zeros(most, np.int64)
    for i, one in enumerate(asked):
        of[i, : len(arms)] = [arm in one.arms for arm in arms]
        slots[i] = one.slots
    return of, slots
