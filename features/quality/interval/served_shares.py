"""An interval's units on the candidate, or kept back ("watch 1%"), against the stage's share p: n·KL(found ‖ p) nats;
by Chernoff's bound it exceeds log(2/α) with probability at most α."""

from collections.abc import Iterator
from math import log, log1p
from typing import Any

import polars as pl

from croupier.features.quality.audit import ALPHA
from croupier.features.quality.interval.measure import Measure, at_most
from croupier.features.schema import CANDIDATE, CHAMPION, HOLDOUT, IN_CANDIDATES_PLACE, WATCH, share_of


class ServedShares:
    """The units of each release and stage, by a hash of 64 bits, and whether the candidate, or nobody, decided for
    them."""

    def __init__(self) -> None:
        self._units = dict[tuple[Any, ...], pl.DataFrame]()

    def add(self, df: pl.DataFrame) -> None:
        """Adds the units of some more interactions."""
        served = df.filter(pl.col("role").is_in([CHAMPION, *IN_CANDIDATES_PLACE]))
        for key, rows in served.partition_by("release", "stage", as_dict=True, maintain_order=True).items():
            stage = str(key[1])
            if 0 < share_of(stage) < 1:
                asked = rows.select(unit=pl.col("unit_id").hash(), kept=pl.col("role") == _name(stage))
                found = pl.concat([self._units[key], asked]) if key in self._units else asked
                self._units[key] = found.group_by("unit").agg(pl.col("kept").any())

    def measures(self) -> Iterator[Measure]:
        """Yields the evidence against each stage's share."""
        for (release, stage), units in self._units.items():
            name, p, n = _name(str(stage)), share_of(str(stage)), len(units)
            found = float(units["kept"].mean() or 0.0)  # type: ignore[arg-type]
            says = f"{stage} of {n:,} units on the {name} (found {found:.2%}); nats of evidence against"
            yield at_most(f"{name}_share release {release} at {stage}", n * _kl(found, p), log(2 / ALPHA), says)


def _name(stage: str) -> str:
    return HOLDOUT if stage.startswith(WATCH) else CANDIDATE


def _kl(q: float, p: float) -> float:
    """KL(Bernoulli q ‖ Bernoulli p), nats."""
    return (q * log(q / p) if q else 0.0) + ((1 - q) * (log1p(-q) - log1p(-p)) if q < 1 else 0.0)
