"""Do units keep their arm, as in an A/B test, which draws an arm once for each unit and shows it again and again?

The logged probability is true of every such row. But the rows of a unit repeat one draw: they are no evidence of their
own that arms were drawn as logged.

Where each row is drawn anew, a row has the arm of the unit's row before it with the probability p that it logs of that
arm, so hit − p has mean zero and variance p (1 − p), whatever came before. Only rows with p ≤ LIKELY are asked: an arm
that is nearly always drawn repeats by itself, and a floor that is logged wrong must not pass for a habit.
"""

from dataclasses import dataclass
from math import sqrt
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from croupier.features.batch import F64, Bool

LIKELY = 0.5
LEAST_SHARE = 0.5  # of the repeats that chance does not make
LEAST_ERRORS = 5.0  # standard errors beyond chance


@dataclass(frozen=True, slots=True)
class Repeats:
    """The account of `n` units that come again: how many have the arm of the row before (`hits`), how many would by
    chance, and the variance of that, each unit's rows counting as one."""

    n: int = 0
    hits: float = 0.0
    expected: float = 0.0
    variance: float = 0.0

    @classmethod
    def of(cls, p: F64, hit: Bool, unit: NDArray[Any]) -> Self:
        """From rows (n,) whose unit was there before: the probability of the arm of the row before, whether it was
        drawn, and whose they are. The rows of a unit count as one row together: a robot, or an id that many share, is
        one unit among others."""
        asked = (p > 0) & (p <= LIKELY)
        _, whose, rows = np.unique(unit[asked], return_inverse=True, return_counts=True)
        p, w = p[asked], 1.0 / rows[whose]
        return cls(len(rows), float(w @ hit[asked]), float(w @ p), float((w * w) @ (p * (1.0 - p))))

    def __add__(self, other: Self) -> Self:
        return type(self)(
            self.n + other.n,
            self.hits + other.hits,
            self.expected + other.expected,
            self.variance + other.variance,
        )

    @property
    def kept(self) -> bool:
        """True if more of them kept their arm than chance, or a wrong propensity, explains."""
        beyond = self.hits - self.expected
        return beyond > LEAST_ERRORS * sqrt(self.variance) and beyond >= LEAST_SHARE * (self.n - self.expected)
