"""Exact order statistics of more numbers than memory should hold, from passes over blocks of them.

A float64 that is read as an integer, with its sign bit turned (all bits where it is negative), sorts as the number
does. Four passes count by 16 bits each, from the highest on: what a pass counts says in which bin each rank lies, and
the next one looks into these bins alone (selection by radix: Knuth, The Art of Computer Programming 3, §5.2.5).
"""

from collections.abc import Callable, Iterable, Sequence
from math import floor

import numpy as np
from numpy.typing import NDArray

from croupier.features.batch import F64

Keys = NDArray[np.uint64]
Blocks = Callable[[], Iterable[F64]]  # the same blocks at each call, none of them empty
BITS = 16
SIGN = np.uint64(1) << np.uint64(63)


def quantiles(blocks: Blocks, n: int, shares: Sequence[float]) -> list[float]:
    """Returns the quantiles of n finite numbers, between neighbours by line, as numpy's `quantile` does."""
    places = [share * (n - 1) for share in shares]
    ends = {rank for place in places for rank in (floor(place), min(floor(place) + 1, n - 1))}
    found = ranked(blocks, sorted(ends))
    return [_between(found[floor(p)], found[min(floor(p) + 1, n - 1)], p - floor(p)) for p in places]


def _between(a: float, b: float, t: float) -> float:
    """Numpy's own two forms of a + (b - a) t, for equal bits."""
    return b - (b - a) * (1.0 - t) if t >= 0.5 else a + (b - a) * t


def ranked(blocks: Blocks, ranks: Sequence[int]) -> dict[int, float]:
    """Returns the numbers of these ranks, from 0, among all."""
    left = {rank: (0, rank) for rank in ranks}  # the highest bits, and the rank among the numbers that share them
    for shift in range(64 - BITS, -1, -BITS):
        counts = _counted(blocks, {prefix for prefix, _ in left.values()}, shift)
        left = {rank: _placed(counts[prefix], prefix, within) for rank, (prefix, within) in left.items()}
    return {rank: float(_numbers(np.array([key], np.uint64))[0]) for rank, (key, _) in left.items()}


def _counted(blocks: Blocks, prefixes: set[int], shift: int) -> dict[int, NDArray[np.int64]]:
    """Returns, for each prefix, how many numbers that begin with it have each value of the next BITS bits."""
    counts = {prefix: np.zeros(1 << BITS, np.int64) for prefix in prefixes}
    for block in blocks():
        top = _keys(block) >> np.uint64(shift)
        before = top >> np.uint64(BITS)
        for prefix in prefixes:
            here = top[before == np.uint64(prefix)] & np.uint64((1 << BITS) - 1)
            counts[prefix] += np.bincount(here.astype(np.int64), minlength=1 << BITS)
    return counts


def _placed(count: NDArray[np.int64], prefix: int, within: int) -> tuple[int, int]:
    """The prefix that is BITS longer, and the rank that is left, of the number with this rank."""
    ends = np.cumsum(count)
    bin_ = int(np.searchsorted(ends, within, side="right"))
    return (prefix << BITS) | bin_, within - int(ends[bin_] - count[bin_])


def _keys(x: F64) -> Keys:
    bits = (x + 0.0).view(np.uint64)  # -0 and 0 are one number
    return np.asarray(np.where(bits & SIGN, ~bits, bits | SIGN))


def _numbers(keys: Keys) -> F64:
    return np.asarray(np.where(keys & SIGN, keys ^ SIGN, ~keys), np.uint64).view(np.float64)
