"""A histogram of numbers that adds: bins of equal ratio, so that no one has to know the range beforehand.

A number x falls in bin ±(⌊log|x| / log γ⌋ + 300), 0 in bin 0: a quantile read from it is within (γ − 1)/2 of the true
one, relatively (Masson, Rim & Lee 2019, DDSketch). Keys grow with the number; equal bins of two hours are one bin.
"""

from collections.abc import Mapping
from math import log
from typing import Any

import numpy as np

from croupier.features.batch import F64, I64
from croupier.features.encoding.fitted import LIMIT

RATIO = 1.2
MIDDLE = 300  # the bin of 1; numbers below 1e-20 in size are 0
SMALLEST = 1e-20


def keys(x: F64) -> I64:
    """Returns the bin of each number."""
    size = np.abs(x)
    index = np.floor(np.log(np.maximum(size, SMALLEST)) / log(RATIO)).astype(np.int64) + MIDDLE
    return np.where(size < SMALLEST, 0, np.sign(x).astype(np.int64) * index)


def counted(x: F64) -> dict[str, int]:
    """Returns the count of each bin that is not empty, by its key as text (a key of JSON)."""
    found, counts = np.unique(keys(x), return_counts=True)
    return {str(k): int(n) for k, n in zip(found.tolist(), counts.tolist(), strict=True)}


def middle(key: int) -> float:
    """The number in the middle of a bin, by ratio."""
    return 0.0 if key == 0 else float(np.sign(key)) * RATIO ** (abs(key) - MIDDLE + 0.5)


def quantile(counts: Mapping[str, int], share: float) -> float | None:
    """Returns the number below which a share of all lies; None where there is none."""
    ordered = sorted((int(key), n) for key, n in counts.items())
    total, seen = sum(n for _, n in ordered), 0.0
    for key, n in ordered:
        seen += n
        if seen >= share * total and n:
            return middle(key)
    return None


def added(a: Mapping[str, int], b: Mapping[str, int]) -> dict[str, int]:
    """Returns the histogram of both."""
    return {key: a.get(key, 0) + b.get(key, 0) for key in (*a, *(k for k in b if k not in a))}


def moments(x: F64) -> list[float]:
    """Returns [n, mean, Σ(x − mean)²]; they add by Chan's rule (`merged`)."""
    if not len(x):
        return [0.0, 0.0, 0.0]
    mean = float(x.mean())
    return [float(len(x)), mean, float(((x - mean) ** 2).sum())]


def merged(a: list[float], b: list[float]) -> list[float]:
    """Adds moments. Chan, Golub & LeVeque 1979, eq. 2.1."""
    n = a[0] + b[0]
    if not n:
        return list(a)
    step = b[1] - a[1]
    return [n, a[1] + step * b[0] / n, a[2] + b[2] + step * step * a[0] * b[0] / n]


def number(value: Any) -> float:
    """The value as a number; NaN where it is none, or beyond what an encoder takes (fitted.LIMIT)."""
    known = isinstance(value, int | float) and not isinstance(value, bool) and -LIMIT <= value <= LIMIT
    return float(value) if known else float("nan")


def present(values: list[Any]) -> F64:
    """Returns the finite numbers of a list; None, NaN and what is no number are left out."""
    x = np.array(list(map(number, values)), np.float64)
    return np.asarray(x[np.isfinite(x)])
