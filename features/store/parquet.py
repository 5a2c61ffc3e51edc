"""Parquet: how interactions are written, and how what is in memory is read, so that a process may end at once.

Polars takes six times as long to write a column of empty texts as one of any other constant (2.1.0; 9.7 and 1.6 ms for
83,000 rows), and an interaction has nine that are mostly empty. So Arrow writes: an hour takes half the time.

Arrow's threads may let go of what they read after the interpreter has begun to end. A Python file among it, or Python's
bytes, then asks for the interpreter, which ends such a thread, and with it the process: SIGABRT, its work done. Memory
of Arrow's own asks nobody.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

GROUP = 100_000  # rows of a row group
DISTINCT = ("event_id", "reward_id", "unit_id", "at", "reward_at", "place")  # a dictionary of them is of no use


def table_of(parquet: bytes) -> pa.Table:
    """The table of a Parquet file. Raises pyarrow.ArrowInvalid where it is none."""
    own = pa.BufferOutputStream()
    own.write(parquet)
    return pq.read_table(pa.BufferReader(own.getvalue()))


def bytes_of(table: pa.Table) -> bytes:
    """The Parquet of a table as the log has it. Arrow writes into memory of its own, not into a Python file (above)."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    return bytes(sink.getvalue())


def write(
    frames: Iterable[pl.DataFrame], sink: Path | pa.BufferOutputStream, schema: pl.Schema, *, group: int = 0
) -> int:
    """Writes frames of this schema into one Parquet file, in row groups of `group` rows (0: of GROUP); there are
    statistics of the times alone. However the rows are cut into frames, the bytes are the same. Returns how many rows
    they have."""
    rows, repeated = 0, [name for name in schema if name not in DISTINCT]
    layout = _arrow(pl.DataFrame(schema=schema)).schema
    with pq.ParquetWriter(
        sink, layout, compression="zstd", compression_level=1, use_dictionary=repeated, write_statistics=["at"]
    ) as file:
        for frame in _grouped(frames, group or GROUP):
            file.write_table(_arrow(frame))
            rows += len(frame)
    return rows


def _grouped(frames: Iterable[pl.DataFrame], group: int) -> Iterator[pl.DataFrame]:
    """Yields the same rows in frames of `group` rows, the last of fewer: so the bytes depend on the rows alone."""
    held, n = list[pl.DataFrame](), 0
    for frame in frames:
        left = frame
        while n + len(left) >= group:
            yield pl.concat([*held, left[: group - n]])
            held, n, left = [], 0, left[group - n :]
        held, n = [*held, left], n + len(left)
    if n:
        yield pl.concat(held)


def _arrow(frame: pl.DataFrame) -> Any:
    return frame.to_arrow(compat_level=pl.CompatLevel.oldest())
