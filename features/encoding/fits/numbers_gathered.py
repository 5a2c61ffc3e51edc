"""Numbers of one feature, as a fit gathers them: on disk beyond the first, and read a block at a time."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from functools import cached_property
from math import sqrt
from tempfile import SpooledTemporaryFile
from typing import Any

import numpy as np

from croupier.features.batch import F64
from croupier.features.declared.feature import Feature
from croupier.features.encoding.fits.quantiles import quantiles
from croupier.features.encoding.fitted import LIMIT, Fitted, log_of
from croupier.features.encoding.profile import Profile, shares_of

BLOCK = 1 << 17  # numbers: 1 MiB
DECILES = tuple(np.arange(1, 10) / 10)


class NumbersGathered:
    """A numeric feature `name`. What is fitted depends on the values and their order, and not on the parts that they
    came in: deciles, counts and extremes are exact, mean and scale are added up in blocks of BLOCK numbers."""

    def __init__(self, name: str, feature: Feature) -> None:
        self.name, self.feature = name, feature
        self.n, self.present = 0, 0
        self._file = SpooledTemporaryFile(max_size=8 * BLOCK)  # noqa: SIM115 - `fitted` closes it

    def add(self, values: Sequence[Any]) -> None:
        """Takes the next values, None or NaN where missing."""
        x = np.array([v for v in values if v is not None], np.float64)
        x = x[~np.isnan(x)]
        self.n, self.present = self.n + len(values), self.present + len(x)
        self._file.write(x.tobytes())

    def fitted(self) -> Fitted:
        """Returns the feature as it is fitted on all values. Nothing can be added after it."""
        with closing(self._file):
            low, high = self.feature.clip or (-LIMIT, LIMIT)
            base = Fitted(
                name=self.name,
                type="numeric",
                log=self.feature.transform == "log",
                clip=(max(low, -LIMIT), min(high, LIMIT)),
                profile=self._profile,
                strings=self.feature.strings,
            )
            mean, deviation = self._moments(base) if self.present else (0.0, 1.0)
        if self.feature.transform == "none":
            return replace(base, fill=mean)
        return replace(base, mean=mean, scale=deviation if deviation > 1e-12 else 1.0)

    def _blocks(self) -> Iterator[F64]:
        self._file.seek(0)
        while raw := self._file.read(8 * BLOCK):
            yield np.frombuffer(raw, np.float64)

    @cached_property
    def _profile(self) -> Profile:
        if not self.present:
            return Profile(n=self.n, missing=float(self.n > 0))
        cuts = tuple(np.unique(quantiles(self._blocks, self.present, DECILES)).tolist())
        counts, low, high = np.zeros(len(cuts) + 1, np.int64), np.inf, -np.inf
        for x in self._blocks():
            counts += np.bincount(np.searchsorted(cuts, x, side="right"), minlength=len(counts))
            low, high = min(low, float(x.min())), max(high, float(x.max()))
        return Profile(
            n=self.n, missing=1 - self.present / self.n, cuts=cuts, shares=shares_of(counts), low=low, high=high
        )

    def _moments(self, base: Fitted) -> tuple[float, float]:
        """Mean and standard deviation after clip and log; blocks add by the rule of Chan, Golub & LeVeque 1979."""
        n, mean, squares = 0, 0.0, 0.0
        for raw in self._blocks():
            x = raw.clip(*base.clip)
            x = log_of(x) if base.log else x
            own, size = float(x.mean()), n + len(x)
            delta = own - mean if n else 0.0
            squares += float(np.square(x - own).sum()) + delta * delta * n * len(x) / size
            mean, n = mean + delta * len(x) / size if n else own, size
        return mean, sqrt(squares / n)
