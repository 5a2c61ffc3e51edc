"""An interval's candidates against the catalogue: those of the catalogue alone, since arms that a request brings along
are new by their nature."""

from collections.abc import Collection

import polars as pl

from croupier.features.encoding import inline_log
from croupier.features.quality.interval.measure import Measure, at_most

NEW_ARMS, GONE_ARMS = 0.2, 0.5


class OfferedArms:
    """How often each arm was offered."""

    def __init__(self, known: Collection[str]) -> None:
        """`known`: the arms of the catalogue."""
        self._known, self._offered, self._new = frozenset(known), set[str](), 0
        self._rows = 0

    def add(self, df: pl.DataFrame) -> None:
        """Counts the candidates of some more interactions."""
        offered = inline_log.keyed(df).explode().drop_nulls()
        counts = offered.filter(offered != inline_log.INLINE).value_counts(name="n")
        for arm, n in counts.iter_rows():
            self._rows += n
            self._new += n * (arm not in self._known)
            self._offered.add(arm)

    def measures(self) -> list[Measure]:
        """Returns the share of candidates that are new, and of known arms that are offered no more."""
        new = self._new / self._rows if self._rows else 0.0
        gone = len(self._known - self._offered) / len(self._known)
        return [
            at_most("arms_new", new, NEW_ARMS, "few candidates are new to the encoder's catalogue"),
            at_most("arms_gone", gone, GONE_ARMS, "most arms of the catalogue are still offered"),
        ]
