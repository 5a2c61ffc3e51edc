"""The numeric features of one scope: raw numbers in, clipped, transformed and standardised columns out.

Ufuncs alone, and no more than are needed: a request by itself costs what its numpy calls cost.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from croupier.features.batch import F32, F64
from croupier.features.encoding.fitted import LIMIT, Fitted, log_of

Places = slice | NDArray[np.intp]


class Numbers:
    """Transforms fitted numeric features, at least one, all at once; `span` says which columns each has in the scope's
    matrix."""

    def __init__(self, features: Sequence[Fitted], span: Mapping[str, slice]) -> None:
        first = [span[f.name].start for f in features]
        ends, moments = _rows([f.clip for f in features]), _rows([(f.mean, f.scale, f.fill) for f in features])
        self._logged = _places([j for j, f in enumerate(features) if f.log])
        self._columns = _places(first)
        self._indicators = [(j, first[j] + 1) for j, f in enumerate(features) if f.missing]
        self._bounded = self._is_bounded(ends, moments)
        alone = len(features) == 1  # a ufunc takes a float more cheaply than an array that it must stretch
        self._ends, self._moments = (table.flatten().tolist() if alone else list(table) for table in (ends, moments))

    def write(self, x: F64, out: F32) -> None:
        """Writes `x` (n, m), NaN = missing, into their columns of `out` (n, d), which is zero there."""
        missing, (mean, scale, fill), (low, high) = np.isnan(x), self._moments, self._ends
        x = np.minimum(np.maximum(x, low), high)
        if self._logged is not None:
            x[:, self._logged] = log_of(x[:, self._logged])
        x -= mean
        x /= scale
        if np.count_nonzero(missing):
            np.copyto(x, fill, where=missing)
            for j, column in self._indicators:
                out[:, column] = missing[:, j]
        out[:, self._columns] = x if self._bounded else np.minimum(np.maximum(x, -LIMIT), LIMIT)

    def _is_bounded(self, ends: F64, moments: F64) -> bool:
        """True if nothing within the ends, and no fill, comes to more than LIMIT."""
        (mean, scale, fill), ends = moments, ends.copy()
        if self._logged is not None:
            ends[..., self._logged] = log_of(ends[..., self._logged])
        return bool((np.abs((ends - mean) / scale) <= LIMIT).all() and (np.abs(fill) <= LIMIT).all())


def _places(found: Sequence[int]) -> Places | None:
    """A slice, which costs least, where they lie side by side; None where there are none."""
    if not found:
        return None
    together = list(found) == list(range(found[0], found[-1] + 1))
    return slice(found[0], found[-1] + 1) if together else np.array(found, np.intp)


def _rows(facts: Sequence[tuple[float, ...]]) -> F64:
    """m features' facts → (facts, 1, m): ufuncs go fastest over equal shapes, and a request by itself is (1, m)."""
    return np.ascontiguousarray(np.array(facts, np.float64).T[:, None])
