"""A shard of the event ids: of n shards each id is in one, by a hash, so that what goes by the id can be done shard by
shard.

The hash is Polars' own, which takes milliseconds for a million ids and is stable for one build of Polars. Whoever lets
several machines read shards of one log compares their `fingerprint` first.
"""

from dataclasses import dataclass

import polars as pl

SEED = 2026
PROBES = ("", "a", "PAGE/0", "01936f3e-7c1b-7a52-9d3f-5b6c7d8e9f01", "é" * 40)


@dataclass(frozen=True)
class Shard:
    """The event ids whose hash leaves the remainder `number` when it is divided by `of`."""

    number: int
    of: int

    def holds(self) -> pl.Expr:
        """Whether the column `event_id` is in this shard."""
        return pl.col("event_id").hash(SEED) % self.of == self.number

    def rows(self, frame: pl.LazyFrame, schema: pl.Schema) -> pl.LazyFrame:
        """The rows of a frame of this schema that are in this shard. Rows of events without an id are in the first."""
        if "event_id" in schema:
            return frame.filter(self.holds())
        return frame if self.number == 0 else frame.limit(0)


def fingerprint() -> str:
    """What the hash makes of some ids here: the same on machines that have the same shards."""
    return "-".join(f"{value:016x}" for value in pl.Series(PROBES).hash(SEED))
