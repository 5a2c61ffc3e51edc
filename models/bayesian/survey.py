"""What a policy must know of a log before it learns: one pass over it, and the part of it that counts."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np

from croupier.features.batch import Interactions

Sizes = tuple[int, int, int]  # lengths of context, arm and pair features


@dataclass(frozen=True, kw_only=True)
class Survey:
    """One pass over a log: sizes, rows, mean and sd of the reward (Chan's merge), and the arms chosen."""

    sizes: Sizes
    rows: int
    mean: float
    sd: float
    arms: tuple[str, ...]

    @classmethod
    def of(cls, log: Iterable[Interactions]) -> Self:
        """Reads a log once, chunk by chunk."""
        sizes, n, mean, m2 = None, 0, 0.0, 0.0
        arms: set[str] = set()
        for chunk in log:
            batch, k = chunk.batch, len(chunk)
            sizes = (batch.context.shape[1], batch.catalogue.features.shape[1], batch.pair.shape[2])
            rows, pair = chunk.shown
            if not all(np.isfinite(x).all() for x in (chunk.reward, batch.context, batch.catalogue.features, pair)):
                raise ValueError("interactions: found NaN or infinity in rewards or features, expected finite numbers")
            arms |= {batch.catalogue.ids[r] for r in np.flatnonzero(np.bincount(rows))}
            if k:
                delta, total = float(chunk.reward.mean()) - mean, n + k
                mean, m2 = mean + delta * k / total, m2 + float(chunk.reward.var()) * k + delta**2 * n * k / total
                n = total
        if sizes is None:
            raise ValueError("log: found no chunk, expected at least one (it may have no rows, but names the sizes)")
        sd = (m2 / n) ** 0.5 if n else 0.0
        return cls(sizes=sizes, rows=n, mean=mean, sd=sd if sd > 1e-9 else 1.0, arms=tuple(sorted(arms)))


@dataclass(frozen=True)
class Latest:
    """A re-iterable log without its first `skip` rows: a replay window."""

    log: Iterable[Interactions]
    skip: int

    def __iter__(self) -> Iterator[Interactions]:
        seen = 0
        for chunk in self.log:
            part = chunk[slice(min(max(self.skip - seen, 0), len(chunk)), None)]
            seen += len(chunk)
            yield part
