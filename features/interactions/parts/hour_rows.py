"""The rows of one hour's version, some at a time, in order of time and event id."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import polars as pl

from croupier.features.ids import uniforms
from croupier.features.interactions.versions import empty
from croupier.features.interactions.whole_requests import together
from croupier.features.log.shipped import batches, read_rows
from croupier.features.schema import APPRENTICE

KEY = pl.Schema({"event_id": pl.String, "at": pl.Int64, "role": pl.String, "allocation": pl.String})
KEY_ROWS = 100_000
THINNING = "training"  # the salt of the hash by which rows beyond `training.rows` are kept
WITHIN = pl.col("event_id").str.contains("/", literal=True) | (pl.col("allocation") != "")


@dataclass(frozen=True, kw_only=True)
class HourRows:
    """The rows of `path` whose hash is below `keep`: `own` are the app's decisions, `decided` those of policies;
    `grouped` says that some may be named within a slate, or are of a request to allocate; `sorted`, that they lie in
    order of time, as joins write them."""

    path: Path
    keep: float
    own: int
    decided: int
    grouped: bool
    sorted: bool

    @classmethod
    def of(cls, path: Path, keep: float) -> Self:
        """Counts the rows of a file."""
        own = decided = last = 0
        grouped, ordered = False, True
        for part in batches(path, KEY, KEY_ROWS):
            ordered = ordered and part["at"].is_sorted() and part["at"][0] >= last
            last = part["at"][-1]
            kept = thinned(part, keep)
            mine = int((kept["role"] == APPRENTICE).sum())
            own, decided = own + mine, decided + len(kept) - mine
            grouped = grouped or bool(kept.select(WITHIN.any()).item())
        return cls(path=path, keep=keep, own=own, decided=decided, grouped=grouped, sorted=ordered)

    def in_order(self, rows: int) -> Iterator[pl.DataFrame]:
        """Yields the interactions, about `rows` at a time: all at once where the file is in another order."""
        if not self.sorted:
            yield thinned(read_rows([self.path], empty().schema).sort("at", "event_id"), self.keep)
            return
        held = empty()
        for batch in batches(self.path, empty().schema, rows):
            found = pl.concat([held, batch])
            last = int(found["at"].search_sorted(found["at"][-1], side="left"))
            held = found[last:]  # the next batch may begin with rows of the same time
            yield thinned(found[:last].sort("at", "event_id"), self.keep)
        yield thinned(held.sort("event_id"), self.keep)

    def time_of(self, place: int, *, own: bool) -> int:
        """Returns when (UTC µs) the row of this place among the app's `own`, or among the others, was decided."""
        kept = (thinned(part, self.keep) for part in batches(self.path, KEY, KEY_ROWS))
        at = pl.concat([part.filter((pl.col("role") == APPRENTICE) == own)["at"] for part in kept])
        return int(at.sort()[place])


def thinned(rows: pl.DataFrame, keep: float) -> pl.DataFrame:
    """The rows whose hash is below `keep`, each of which counts for more where it has a `pass_probability`."""
    if keep >= 1.0:
        return rows
    kept = rows.filter(pl.Series(uniforms(THINNING, together(rows)), dtype=pl.Float64) < keep)
    if "pass_probability" not in rows.columns:
        return kept
    return kept.with_columns(pl.col("pass_probability") * keep)


def cut(frames: Iterable[pl.DataFrame], rows: int) -> Iterator[pl.DataFrame]:
    """Yields the rows of all frames in frames of exactly `rows`, but for the last one."""
    held, n = list[pl.DataFrame](), 0
    for frame in frames:
        start = 0
        while n + len(frame) - start >= rows:
            end = start + rows - n
            yield pl.concat([*held, frame[start:end]])
            held, n, start = [], 0, end
        held, n = [*held, frame[start:]], n + len(frame) - start
    if n:
        yield pl.concat(held)
