"""Columns of one number a row: made on disk and added up block by block, so that a log's length takes no memory.

What a column comes to is added in blocks of rows (on_disk.py); a log of one block gives the very bits that numpy gives.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from croupier.features.batch import F64, I64, Bool
from croupier.features.encoded.on_disk import blocks, zeros

OfRows = Callable[[slice], NDArray[Any]]


def column(n: int, values: OfRows, dtype: Any = np.float64) -> NDArray[Any]:
    """Returns (n,), made of what `values` gives to some rows at a time."""
    found = zeros((n,), dtype)
    for rows in blocks(n):
        found[rows] = values(rows)
    return found


def total(n: int, values: OfRows) -> float:
    """Returns the sum of what `values` gives to all n rows, some at a time."""
    return sum(float(values(rows).sum()) for rows in blocks(n))


def mean(values: F64) -> float:
    """Returns the mean of a column."""
    return total(len(values), lambda rows: values[rows]) / len(values)


def squares(values: F64, about: float = 0.0) -> float:
    """Returns Σ (v − about)²."""
    return total(len(values), lambda rows: np.square(values[rows] - about))


def by_number(number: NDArray[Any], values: F64, about: float = 0.0, *, size: int = 0) -> F64:
    """Returns the sums of v − about over the rows of each number, (`size` or more,); `number` (n,) counts from 0."""
    found = np.zeros(max(size, _numbers(number)))
    for rows in blocks(len(values)):
        found += np.bincount(number[rows], weights=values[rows] - about, minlength=len(found))
    return found


def counted(number: NDArray[Any], size: int = 0) -> I64:
    """Returns how many rows have each number, (`size` or more,); `number` (n,) counts from 0."""
    found = np.zeros(max(size, _numbers(number)), np.int64)
    for rows in blocks(len(number)):
        found += np.bincount(number[rows], minlength=len(found))
    return found


def _numbers(number: NDArray[Any]) -> int:
    return int(number.max()) + 1 if len(number) else 0


def greatest(values: F64, most: int, *, sign: float = 1.0) -> F64:
    """Returns the greatest of sign · v, at most so many, falling."""
    found = np.zeros(0)
    for rows in blocks(len(values)):
        found = np.sort(np.concatenate([found, sign * values[rows]]))[::-1][:most]
    return found


def median(values: F64) -> float:
    """Returns the median, by a copy on disk that is put in order in place."""
    copy, half = column(len(values), lambda rows: values[rows]), len(values) // 2
    copy.partition((half - 1, half) if len(values) > 1 else 0)
    return float(copy[half]) if len(values) % 2 else 0.5 * float(copy[half - 1] + copy[half])


def numbered(values: NDArray[Any]) -> tuple[NDArray[Any], I64]:
    """Returns the distinct values (d,), sorted, and (n,) which of them each row has."""
    known, new = values[:0], list[NDArray[Any]]()
    for rows in blocks(len(values)):
        new.append(np.unique(values[rows]))
        if rows.stop == len(values) or sum(map(len, new)) > len(known):  # as few merges as doublings
            known, new = np.unique(np.concatenate([known, *new])), []
    return known, column(len(values), lambda rows: np.searchsorted(known, values[rows]), np.int64)


def places(n: int, inside: Callable[[slice], Bool]) -> I64:
    """Returns which of n rows are inside, rising."""
    found = [rows.start + np.flatnonzero(inside(rows)) for rows in blocks(n)]
    return np.concatenate([np.zeros(0, np.int64), *found])


def rising(values: NDArray[Any]) -> bool:
    """Whether no value lies below the one before it."""
    starts = (slice(max(rows.start - 1, 0), rows.stop) for rows in blocks(len(values)))
    return all(bool(np.all(values[rows][1:] >= values[rows][:-1])) for rows in starts)
