"""A log of an A/B test: units are drawn once, or at every row where `anew`, and come again."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from croupier.features.batch import Batch, Catalogue, Interactions

HOUR = 3_600_000_000


@dataclass(frozen=True, kw_only=True)
class ABTest:
    """`share` is of the arms, as drawn; `logged` as logged, the same unless given. Every unit has features of its own and
    earns at a rate of its own, whatever the arm."""

    units: int = 300
    rows: int = 6000
    share: Sequence[float] = (1 / 3, 1 / 3, 1 / 3)
    logged: Sequence[float] = ()
    anew: bool = False
    features: int = 8

    def log(self, seed: int) -> Interactions:
        rng, K, n = np.random.default_rng(seed), len(self.share), self.rows
        unit = rng.integers(0, self.units, n)
        own = rng.choice(K, self.units, p=self.share)
        chosen = rng.choice(K, n, p=self.share) if self.anew else own[unit]
        pmf = np.tile(self.logged or self.share, (n, 1))
        return Interactions(
            batch=Batch(
                context=rng.normal(size=(self.units, self.features)).astype(np.float32)[unit],
                arm=np.tile(np.arange(K), (n, 1)),
                mask=np.ones((n, K), bool),
                pair=np.zeros((n, K, 0), np.float32),
                catalogue=Catalogue(ids=tuple(map(str, range(K))), features=np.eye(K, dtype=np.float32), digest=""),
            ),
            chosen=chosen,
            reward=(rng.random(n) < rng.beta(1, 6, self.units)[unit]).astype(float),
            propensity=pmf[np.arange(n), chosen],
            pmf=pmf,
            at=np.sort(rng.integers(0, 100 * HOUR, n)),
            unit=rng.integers(0, 2**64, self.units, dtype=np.uint64)[unit],
            weight=np.ones(n),
        )
