"""The shipped log, read back: its objects as frames, hour by hour.

What is shipped never changes, with one exception: a unit is forgotten. `rewritten` says so to whoever had read the log
before and has not yet written what came of it.
"""

import tempfile
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq

from croupier.features.arrow import ADDED, DECISIONS
from croupier.features.log.spool_rows import KINDS
from croupier.features.store import layout
from croupier.features.store.partitions import log_objects
from croupier.features.store.storage import Store, StoreError
from croupier.features.utc import hour_start

EVENT = pl.Schema({"event_id": pl.String, "at": pl.Int64})
REWARD = pl.Schema({"event_id": pl.String, "at": pl.Int64, "kind": pl.String, "value": pl.Float64,
                    "reward_id": pl.String})  # fmt: skip
REJECTED = pl.Schema({"kind": pl.String, "field": pl.String, "raw": pl.String, "reason": pl.String, "at": pl.Int64})
DECISION = pl.Schema(DECISIONS)  # not of an empty table, for which pyarrow imports pandas


class LogRewritten(StoreError):
    """A unit was forgotten since the log was read: what came of it may hold the unit, and was not kept. Read again."""


@dataclass(frozen=True)
class ShippedLog:
    """Objects by kind and hour; fetched when they are read. `epoch`: see `rewritten`."""

    store: Store
    folder: Path
    objects: dict[str, dict[str, list[str]]]
    epoch: str | None

    def is_as_read(self) -> bool:
        """True if nothing was rewritten (a unit forgotten) since the log was opened."""
        return self.store.read(layout.EPOCH)[1] == self.epoch

    def hours(self, kind: str, first: int, last: int) -> list[str]:
        """Returns the hours of a kind whose start (UTC µs) lies in [first, last]."""
        return [hour for hour in self.objects[kind] if first <= hour_start(hour) <= last]

    def read(self, kind: str, hours: Iterable[str], schema: pl.Schema) -> pl.DataFrame:
        """The columns of `schema`, in order of hour, host and arrival."""
        return self.read_objects([key for hour in hours for key in self.objects[kind].get(hour, ())], schema)

    def read_objects(self, keys: list[str], schema: pl.Schema) -> pl.DataFrame:
        """Reads these objects of the store into one frame."""
        paths = self.store.fetch(keys, self.folder)
        return read_rows(paths, schema)

    def rows(self, kind: str, hour: str) -> int:
        """How many, without reading them."""
        paths = self.store.fetch(self.objects[kind].get(hour, []), self.folder)
        return sum(pq.read_metadata(path).num_rows for path in paths)


def read_rows(paths: list[Path], schema: pl.Schema) -> pl.DataFrame:
    """The columns of `schema` from files of any age: what was added later has its neutral value in older ones."""
    if not paths:
        return pl.DataFrame(schema=schema)
    later = [name for name in ADDED if name in schema]
    found = pl.scan_parquet(
        paths, schema=schema, extra_columns="ignore", missing_columns="insert" if later else "raise"
    )
    return found.with_columns(pl.col(name).fill_null(ADDED[name]) for name in later).collect()


@contextmanager
def open_log(store: Store) -> Iterator[ShippedLog]:
    """The log as it is now; objects shipped later are not in it."""
    with tempfile.TemporaryDirectory(prefix="croupier-") as folder:
        epoch = store.read(layout.EPOCH)[1]
        yield ShippedLog(store, Path(folder), {kind: log_objects(store, kind) for kind in KINDS}, epoch)


def rewritten(store: Store) -> None:
    """Notes that the log was rewritten: called once rows are gone from the log, and before they are looked for in what
    was made from it: whatever a join that had read them commits is there by then, or is taken back by that join."""
    store.put(layout.EPOCH, uuid.uuid4().hex.encode())
