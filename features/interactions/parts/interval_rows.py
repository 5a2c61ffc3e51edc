"""The interactions of an interval, which may be gone through again and again: some rows, and some columns, at a time.

for part in log.parts("at", "reward"): …       every row once, in the order of the log
for shard in log.shards("unit_id"): …          every row once, all rows of one unit in the same shard
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import Self

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from croupier.features.interactions.parts.hour_rows import cut
from croupier.features.interactions.parts.shards_on_disk import shards_on_disk
from croupier.features.interactions.versions import empty, fetched, newest
from croupier.features.log.shipped import batches
from croupier.features.store.storage import Store

PART_ROWS = 50_000
SHARD_ROWS = 200_000  # on average
ROW = "row"  # a column: the row's number in the log


@dataclass(frozen=True)
class IntervalRows:
    """The rows of one `frame`, or of the Parquet files at `paths`, which must be there while they are gone through."""

    frame: pl.DataFrame | None
    paths: Sequence[Path]
    rows: int

    @classmethod
    def of(cls, frame: pl.DataFrame) -> Self:
        """The rows of a frame (arrow.INTERACTIONS)."""
        return cls(frame, (), len(frame))

    @classmethod
    def of_files(cls, paths: Sequence[Path]) -> Self:
        """The rows of Parquet files of any age, one file after the other. Raises ValueError where one is damaged."""
        return cls(None, paths, sum(map(_rows_of, paths)))

    def __len__(self) -> int:
        return self.rows

    @property
    def one_part(self) -> bool:
        """True if `parts` yields all rows together."""
        return self.rows <= PART_ROWS

    def parts(self, *columns: str) -> Iterator[pl.DataFrame]:
        """Yields all rows in order, PART_ROWS at a time, with these columns (default: all) as far as the log has them;
        nothing where there are no rows."""
        if self.frame is not None:
            known = self.frame.select([name for name in self.frame.columns if name in (columns or self.frame.columns)])
            yield from known.iter_slices(PART_ROWS) if len(known) else ()
            return
        schema = pl.Schema({name: kind for name, kind in empty().schema.items() if name in (columns or (name,))})
        yield from cut(chain.from_iterable(batches(path, schema, PART_ROWS) for path in self.paths), PART_ROWS)

    def numbered(self, *columns: str) -> Iterator[pl.DataFrame]:
        """Yields what `parts` does, with ROW as the first column."""
        place = 0
        for part in self.parts(*columns):
            yield part.with_row_index(ROW, place)
            place += len(part)

    def shards(self, by: str, *columns: str) -> Iterator[pl.DataFrame]:
        """Yields all rows, with ROW, `by` and these columns, in shards of about SHARD_ROWS by a hash of `by`."""
        return shards_on_disk(self.numbered(by, *columns), by, -(-self.rows // SHARD_ROWS))

    def at(self, rows: Sequence[int]) -> pl.DataFrame:
        """Returns the rows of these numbers, which are in order, with ROW."""
        asked = pl.Series(ROW, rows, dtype=pl.get_index_type())
        if self.frame is not None:
            return self.frame.with_row_index(ROW)[asked]
        none = empty().with_row_index(ROW)
        parts = self.numbered() if rows else ()
        return pl.concat([none, *(part.filter(pl.col(ROW).is_in(asked.implode())) for part in parts)])


def _rows_of(path: Path) -> int:
    try:
        return int(pq.read_metadata(path).num_rows)
    except pa.ArrowInvalid as error:
        raise ValueError(
            f"{path}: found a damaged file ({error}), expected the Parquet of an hour's interactions; restore it "
            "from a copy"
        ) from error


@contextmanager
def interval_rows(store: Store, *, start: datetime, end: datetime) -> Iterator[IntervalRows]:
    """What versions.read_interactions returns, of which nothing is read yet, while in the block."""
    keys = [version.data for version in newest(store, start=start, end=end).values() if version.rows]
    with fetched(store, keys) as paths:
        yield IntervalRows.of_files(paths)
