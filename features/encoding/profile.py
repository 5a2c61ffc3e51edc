"""What the training window saw of a feature, and how far other values are from it: small enough to travel with the
encoder, and the same for numbers (deciles) and categories (vocabulary)."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import log, sqrt
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

Shares = tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """`missing`: share of values. `shares`: of the others, in each bin. Bins are the gaps between `cuts` (numbers) or
    the vocabulary and the rest (categories, and words of lists; `cuts` empty). `low`, `high`: extremes of numbers."""

    n: int = 0
    missing: float = 0.0
    cuts: Shares = ()
    shares: Shares = ()
    low: float = 0.0
    high: float = 0.0

    @classmethod
    def of_words(cls, counts: Counter[str], vocabulary: Sequence[str], n: int, present: int) -> Self:
        """Makes the profile of n values, of which `present` have a word, from the counts of all words: a share for
        each word of the vocabulary, and one for the rest."""
        return cls(n=n, missing=1 - present / n if n else 0.0, shares=counted(counts, vocabulary))

    @classmethod
    def from_json(cls, state: dict[str, Any]) -> Self:
        """Restores a profile from JSON."""
        return cls(**(state | {"cuts": tuple(state["cuts"]), "shares": tuple(state["shares"])}))


def binned(x: Any, cuts: Shares) -> Shares:
    """Returns the share of numbers in each gap between the cuts."""
    return shares_of(bins_of(x, cuts))


def bins_of(x: Any, cuts: Shares) -> NDArray[np.int64]:
    """Returns how many numbers lie in each gap between the cuts."""
    return np.bincount(np.searchsorted(cuts, x, side="right"), minlength=len(cuts) + 1)


def shares_of(counts: NDArray[np.int64]) -> Shares:
    """Returns what share of all each count is."""
    return tuple((counts / max(int(counts.sum()), 1)).tolist())


def counted(counts: Counter[str], vocabulary: Sequence[str]) -> Shares:
    """Returns the share of each category of the vocabulary, and of all others."""
    total = max(counts.total(), 1)
    known = [counts[text] / total for text in vocabulary]
    return (*known, max(0.0, 1.0 - sum(known)) if counts else 0.0)


def moved(a: Shares, b: Shares) -> float:
    """Returns the total variation distance ½ Σ |a − b|: the share of values that would have to change places."""
    return 0.5 * sum(abs(x - y) for x, y in zip(a, b, strict=True))


def chance(bins: int, n: int, *, alpha: float = 1e-4) -> float:
    """What `moved` may reach by chance with n independent values: mean ≤ ½ √(bins/n), and, each value changing it by
    at most 1/n, it exceeds its mean by t with probability at most exp(−2 n t²) (McDiarmid 1989)."""
    return 0.5 * sqrt(bins / n) + sqrt(log(1 / alpha) / (2 * n)) if n else 1.0
