"""The shipped log, read back: its objects as frames, hour by hour.

What is shipped never changes, with one exception: a unit is forgotten. `rewritten` says so to whoever had read the log
before and has not yet written what came of it.
"""

import tempfile
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq

from croupier.features.arrow import DECISIONS
from croupier.features.log.index.shard import Shard
from croupier.features.schema import ADDED
from croupier.features.store import layout, log_layout
from croupier.features.store.partitions import log_between
from croupier.features.store.storage import Store, StoreError
from croupier.features.utc import HOUR, YEAR_2100, hour_start

EVENT = pl.Schema({"event_id": pl.String, "at": pl.Int64})
REWARD = pl.Schema({"event_id": pl.String, "at": pl.Int64, "kind": pl.String, "value": pl.Float64,
                    "reward_id": pl.String})  # fmt: skip
REJECTED = pl.Schema({"kind": pl.String, "field": pl.String, "raw": pl.String, "reason": pl.String, "at": pl.Int64})
HOST = b"croupier.host"  # in the metadata of an object: the name of the host that shipped it
DECISION = pl.Schema(DECISIONS)  # not of an empty table, for which pyarrow imports pandas
PLACE = "place"  # a column: the row's number in all that was read, before a shard of it was taken
PLACED = pl.Schema({**DECISION, PLACE: pl.get_index_type()})


class LogRewritten(StoreError):
    """A unit was forgotten since the log was read: what came of it may hold the unit, and was not kept. Or objects were
    merged since it was listed. Read again."""


@dataclass(frozen=True)
class ShippedLog:
    """Its objects are listed when an hour is first asked for, and fetched when they are read: both for the hours that
    are asked for alone. `epoch`: see `rewritten`. Of a `shard` no other rows are read, while `rows` counts all."""

    store: Store
    folder: Path
    epoch: str | None
    shard: Shard | None = None
    _listed: list[tuple[str, int, int]] = field(default_factory=list)
    _objects: dict[tuple[str, str], list[str]] = field(default_factory=dict)

    def is_as_read(self) -> bool:
        """True if nothing was rewritten (a unit forgotten) since the log was opened."""
        return self.store.read(layout.EPOCH)[1] == self.epoch

    def hours(self, kind: str, first: int = 0, last: int = YEAR_2100) -> list[str]:
        """Returns the hours of a kind that have objects and whose start (UTC µs) lies in [first, last], in order."""
        low, high = -(-first // HOUR) * HOUR, last // HOUR * HOUR
        if not any(of == kind and a <= low and high <= b for of, a, b in self._listed):
            for hour, keys in log_between(self.store, kind, low, high).items():
                self._objects.setdefault((kind, hour), keys)  # an hour stays as it was first seen
            self._listed.append((kind, low, high))
        known = sorted(hour for of, hour in self._objects if of == kind)
        return [hour for hour in known if low <= hour_start(hour) <= high]

    def keys(self, kind: str, hour: str) -> list[str]:
        """Returns the keys of an hour's objects of a kind."""
        if (kind, hour) not in self._objects:
            self.hours(kind, hour_start(hour), hour_start(hour))
        return self._objects.get((kind, hour), [])

    def holding(self, kind: str, keys: Iterable[str]) -> list[str]:
        """Returns the objects that hold what these once held: themselves, or, where one of an hour is gone since it was
        merged, all of its hour; none where retention has deleted them."""
        hours: dict[str, list[str]] = {}
        for key in keys:
            hours.setdefault(layout.hour_of(key), []).append(key)
        self.look_up(kind, sorted(hours))
        found = []
        for hour, asked in sorted(hours.items()):
            there = self.keys(kind, hour)
            found += sorted(asked) if set(asked) <= set(there) else there
        return found

    def look_up(self, kind: str, hours: Sequence[str]) -> None:
        """Lists these hours, which are in order, with one call for each run of neighbours."""
        for run in neighbours(hours):
            self.hours(kind, hour_start(run[0]), hour_start(run[-1]))

    def read(self, kind: str, hours: Iterable[str], schema: pl.Schema) -> pl.DataFrame:
        """The columns of `schema`, in order of hour, host and arrival."""
        return self.read_objects([key for hour in hours for key in self.keys(kind, hour)], schema)

    def read_objects(self, keys: list[str], schema: pl.Schema) -> pl.DataFrame:
        """Reads these objects of the store into one frame."""
        try:
            found = scan_rows(self.store.fetch(keys, self.folder), schema)
            return (found if self.shard is None else self.shard.rows(found, schema)).collect()
        except (KeyError, FileNotFoundError) as error:
            raise LogRewritten(f"{error}: an object of the log is gone, since it was listed; read again") from error

    def rows(self, kind: str, hour: str) -> int:
        """How many, without reading them."""
        try:
            paths = self.store.fetch(self.keys(kind, hour), self.folder)
            return sum(pq.read_metadata(path).num_rows for path in paths)
        except (KeyError, FileNotFoundError) as error:
            raise LogRewritten(f"{error}: an object of the log is gone, since it was listed; read again") from error


def neighbours(hours: Sequence[str]) -> Iterator[list[str]]:
    """Yields the runs of hours, which are in order, that follow one another without a gap."""
    starts = [hour_start(hour) for hour in hours]
    begins = [i for i, at in enumerate(starts) if i == 0 or at - starts[i - 1] > HOUR]
    for i, j in pairwise([*begins, len(starts)]):
        yield list(hours[i:j])


def host_of(key: str, path: Path) -> str:
    """The name of the host that shipped the object `key`, of which `path` is a copy: it stands in the object, and in
    the key of older ones."""
    name = (pq.read_schema(path).metadata or {}).get(HOST)
    return name.decode() if name is not None else log_layout.host_of(key)


def read_rows(paths: list[Path], schema: pl.Schema) -> pl.DataFrame:
    """The columns of `schema` from files of any age: what was added later has its neutral value in older ones."""
    return scan_rows(paths, schema).collect()


def scan_rows(paths: list[Path], schema: pl.Schema) -> pl.LazyFrame:
    """The rows that `read_rows` returns, of which nothing is read yet: the files must be there until it is."""
    if not paths:
        return pl.LazyFrame(schema=schema)
    later = [name for name in ADDED if name in schema]
    found = pl.scan_parquet(
        paths,
        schema=pl.Schema({name: kind for name, kind in schema.items() if name != PLACE}),
        extra_columns="ignore",
        missing_columns="insert" if later else "raise",
        row_index_name=PLACE if PLACE in schema else None,
    )
    return found.with_columns(pl.col(name).fill_null(ADDED[name]) for name in later).select(schema.names())


def batches(path: Path, schema: pl.Schema, rows: int) -> Iterator[pl.DataFrame]:
    """What `read_rows` returns of one file, at most so many rows at a time."""
    with pq.ParquetFile(path) as file:
        there = [name for name in schema if name in file.schema_arrow.names]
        for batch in file.iter_batches(rows, columns=there):
            frame = pl.DataFrame(batch)
            added = [pl.lit(ADDED[name]).alias(name) for name in schema if name not in there]
            filled = [pl.col(name).fill_null(ADDED[name]) for name in there if name in ADDED]
            yield frame.with_columns(*added, *filled).select(pl.col(name).cast(kind) for name, kind in schema.items())


@contextmanager
def open_log(store: Store) -> Iterator[ShippedLog]:
    """The log as it is: of an hour that was looked at, objects shipped later are not in it."""
    with tempfile.TemporaryDirectory(prefix="croupier-") as folder:
        epoch = store.read(layout.EPOCH)[1]
        yield ShippedLog(store, Path(folder), epoch)


def rewritten(store: Store) -> None:
    """Notes that the log was rewritten: called once rows are gone from the log, and before they are looked for in what
    was made from it: whatever a join that had read them commits is there by then, or is taken back by that join."""
    store.put(layout.EPOCH, uuid.uuid4().hex.encode())
