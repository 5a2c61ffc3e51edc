"""Has a value of the arm drawn mean zero? A p-value that holds where a few rare draws could carry all of it.

Each test is a table v (n, K): the value of a row if its candidate k is drawn, made so that Σ_k p_k v_k = 0 wherever the
features are older than the draw. So the value's variance, Σ_k p_k v_k², and its largest size are known before any arm
is drawn, those included that never came up; a sample's own variance would be sure of itself there. Bernstein's
inequality turns them into p ≤ 2 exp(−n t² / (2σ² + 2Mt/3)), t the mean's size, σ² the variance, M the largest size
(Boucheron, Lugosi & Massart 2013, eq. 2.10; for martingales Freedman 1975).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import exp, sqrt

import numpy as np

from croupier.features.batch import F64, Interactions
from croupier.features.encoded.on_disk import blocks

SEEN = 0.5  # standard deviations: a test that would not see a shift of so much is not made
LEVEL = 1e-4
NO_SPREAD = 1e-9


@dataclass(frozen=True, slots=True)
class Sums:
    """What the drawn values come to: how many, their mean, variance and largest size, the latter two as foretold if
    larger."""

    n: int
    mean: float
    variance: float
    largest: float

    @property
    def testable(self) -> bool:
        """Whether a mean of SEEN standard deviations would have been told from zero at LEVEL."""
        spread = sqrt(self.variance)
        return spread > NO_SPREAD and _bound(self.n, SEEN * spread, self.variance, self.largest) < LEVEL

    def p_value(self, *, tolerance: float = 0.0, above: bool = False) -> float | None:
        """Two-sided, that the mean is at most `tolerance` from zero, or one-sided, that it is not above; None where the
        test cannot be made. A value without spread must be zero itself."""
        excess = max((self.mean if above else abs(self.mean)) - tolerance, 0.0)
        if sqrt(self.variance) <= NO_SPREAD:
            return None if excess < 1e-6 else 0.0
        if not self.testable:
            return None
        return min(1.0, _bound(self.n, excess, self.variance, self.largest) / (2.0 if above else 1.0))


def _bound(n: int, mean: float, variance: float, largest: float) -> float:
    return 2.0 * exp(-n * mean * mean / (2.0 * variance + 2.0 * largest * mean / 3.0))


def drawn(log: Interactions, table: Callable[[slice], F64]) -> Sums:
    """Sums the values that `table` gives to the arms drawn: it is asked for those of some rows at a time, (rows, K)."""
    total = squares = foretold = largest = 0.0
    for rows in blocks(len(log)):
        pmf = log.pmf[rows]
        v = np.where(log.batch.mask[rows] & (pmf > 0), table(rows), 0.0)
        here = v[np.arange(len(v)), log.chosen[rows]]
        total += float(here.sum())
        squares += float(here @ here)
        foretold += float((pmf * v * v).sum())
        largest = max(largest, float(np.abs(v).max()))
    n = len(log)
    mean = total / n
    return Sums(n, mean, max(squares / n - mean * mean, foretold / n), largest)


def inverse(log: Interactions, rows: slice) -> F64:
    """1 / p of every candidate that the log could draw, (rows, K); 0 of the others."""
    pmf = log.pmf[rows]
    possible = log.batch.mask[rows] & (pmf > 0)
    return np.asarray(possible / np.where(possible, pmf, 1.0))


def smallest(found: Sequence[float | None]) -> float | None:
    """The least of several p-values, times their number (Bonferroni); None where none was made."""
    made = [p for p in found if p is not None]
    return min(1.0, len(made) * min(made)) if made else None


def needed(n: int) -> str:
    """Why a test was not made."""
    return (
        f"{n:,} rows are too few for it, arms of small probability as they are: a shift of {SEEN:g} standard "
        "deviations would not be told from chance"
    )
