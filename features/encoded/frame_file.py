"""A Parquet file that frames of the same columns are appended to: no more than one of them stands in memory."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import polars as pl
import pyarrow.parquet as pq

BATCH = 100_000  # rows


class FrameFile:
    """The file at `path`, made with the first frame; whole once it is closed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._writer: pq.ParquetWriter | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        if self._writer is not None:
            self._writer.close()

    def add(self, frame: pl.DataFrame) -> None:
        """Appends a frame."""
        table = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
        self._writer = self._writer or pq.ParquetWriter(self.path, table.schema, compression="zstd")
        self._writer.write_table(table)


def columns(path: Path) -> list[str]:
    """Returns the names of a file's columns; none where there is no file."""
    return pq.read_schema(path).names if path.exists() else []


def frames(path: Path, asked: Sequence[str] = ()) -> Iterator[pl.DataFrame]:
    """Yields the rows of a file, some at a time, with `at` and the columns that are `asked` for, or all; none where
    there is no file."""
    if not path.exists():
        return
    with pq.ParquetFile(path) as file:
        yield from map(pl.DataFrame, file.iter_batches(BATCH, columns=["at", *asked] if asked else None))


def values(path: Path, column: str) -> Iterator[Any]:
    """Yields the values of a column of a file, one after the other."""
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(BATCH, columns=[column]):
            yield from batch.column(0).to_pylist()
