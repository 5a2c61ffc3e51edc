"""The interactions of an interval in parts, in order of time, which may be read several times: nothing that asks for
them holds them all."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import Protocol

import polars as pl
import pyarrow.parquet as pq

from croupier.features.interactions.parts.hour_rows import KEY_ROWS
from croupier.features.interactions.versions import empty, fetched, newest
from croupier.features.log.shipped import batches, read_rows
from croupier.features.store.storage import Store

PART_ROWS = 50_000
WHICH = pl.Schema({"event_id": pl.String, "at": pl.Int64})


class IntervalRows(Protocol):
    """Interactions (arrow.INTERACTIONS)."""

    def __iter__(self) -> Iterator[pl.DataFrame]:
        """Yields the rows, some at a time."""

    def which(self) -> Iterator[pl.DataFrame]:
        """Yields `event_id` and `at` alone, in any order."""


@dataclass(frozen=True)
class WholeRows:
    """Rows that stand in memory already."""

    frame: pl.DataFrame

    def __iter__(self) -> Iterator[pl.DataFrame]:
        yield self.frame

    def which(self) -> Iterator[pl.DataFrame]:
        """Yields `event_id` and `at` alone."""
        yield self.frame.select(WHICH.names())


@dataclass(frozen=True)
class StoredRows:
    """The rows of hours' files, as they lie there: joins write them in order of time."""

    hours: Sequence[Path]

    def __iter__(self) -> Iterator[pl.DataFrame]:
        return gathered(chain.from_iterable(map(_parts, self.hours)))

    def which(self) -> Iterator[pl.DataFrame]:
        """Yields `event_id` and `at` alone."""
        return chain.from_iterable(batches(path, WHICH, KEY_ROWS) for path in self.hours)


def _parts(path: Path) -> Iterator[pl.DataFrame]:
    """The rows of a file: at once where they are few, for Polars reads them in a third of what Arrow takes."""
    with pq.ParquetFile(path) as file:
        few = file.metadata.num_rows <= PART_ROWS
    return iter([read_rows([path], empty().schema)]) if few else batches(path, empty().schema, PART_ROWS)


def gathered(frames: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """Yields the rows of all frames in frames of at least half of PART_ROWS, but for the last one."""
    held, n = list[pl.DataFrame](), 0
    for frame in frames:
        held, n = [*held, frame], n + len(frame)
        if n >= PART_ROWS // 2:
            yield pl.concat(held) if len(held) > 1 else frame
            held, n = [], 0
    if held:
        yield pl.concat(held)


@contextmanager
def stored(store: Store, *, start: datetime, end: datetime) -> Iterator[StoredRows]:
    """The interactions of the whole hours that [start, end) touches, while in the block."""
    found = newest(store, start=start, end=end)
    with fetched(store, [found[hour].data for hour in sorted(found) if found[hour].rows]) as paths:
        yield StoredRows(paths)
