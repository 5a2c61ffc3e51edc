"""Versions of an hour's interactions: immutable, numbered, the newest one counts.

An hour is first written as v0001; when late decisions, late rewards or maturing change it, it is restated as the next
version. Parquet objects carry their digest in their name and are written first; the small JSON is written last, once,
and is what makes a version exist. So a crash leaves no half version, and two joins at once make one version or two
consecutive ones, never a mixture.
"""

import hashlib
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import accumulate
from pathlib import Path
from typing import Any, Self

import orjson
import polars as pl
import pyarrow as pa

from croupier.features.arrow import INTERACTIONS
from croupier.features.interactions.account import Account
from croupier.features.log.index.shard import Shard
from croupier.features.log.shipped import LogRewritten, ShippedLog, read_rows, scan_rows
from croupier.features.store import layout, parquet
from croupier.features.store.folders import opened
from croupier.features.store.partitions import versions_between, versions_of
from croupier.features.store.storage import AlreadyExists, Store
from croupier.features.utc import HOUR, hour_start, to_us

ROWS = 250_000  # of two versions that are compared in memory at a time


@dataclass(frozen=True, kw_only=True)
class Version:
    """One version of one hour. `changed`: what it changed in the version before (counts of rows and of events)."""

    hour: str
    version: int
    joined_at: int
    rows: int
    data: str
    late: str
    account: dict[str, int]
    changed: dict[str, int]

    @property
    def key(self) -> str:
        """The store's key of this version's description."""
        return layout.version(self.hour, self.version)

    @classmethod
    def load(cls, store: Store, key: str) -> Self:
        """Reads the version that stands under `key`. Raises KeyError."""
        return cls(**orjson.loads(store.get(key)))


def newest(store: Store, *, start: datetime, end: datetime) -> dict[str, Version]:
    """The newest version of each hour that overlaps [start, end)."""
    found = versions_between(store, to_us(start) // HOUR * HOUR, to_us(end) - 1)
    return {hour: Version.load(store, keys[-1]) for hour, keys in found.items()}


def partitions(store: Store, *, start: datetime, end: datetime) -> dict[str, int]:
    """Returns the version of each hour that read_interactions reads now. Keep it with what was made from it
    (`restatements` asks)."""
    return {hour: version.version for hour, version in newest(store, start=start, end=end).items()}


def overlapping(hours: Any, *, start: datetime, end: datetime) -> list[str]:
    """The hours, in order, that [start, end) touches."""
    first, last = to_us(start) // HOUR * HOUR, to_us(end)
    return [hour for hour in sorted(hours) if first <= hour_start(hour) < last]


def read_interactions(store: Store, *, start: datetime, end: datetime) -> pl.DataFrame:
    """Returns the interactions (arrow.INTERACTIONS), in order of time, of the whole hours that [start, end)
    touches."""
    keys = [version.data for version in newest(store, start=start, end=end).values() if version.rows]
    with fetched(store, keys) as paths:
        return read_rows(paths, empty().schema)


def latest_interactions(store: Store, start: datetime, end: datetime, *, where: pl.Expr, rows: int) -> pl.DataFrame:
    """Returns the last `rows` interactions of [start, end)'s hours that `where` keeps, in order of time; of hours that
    are older than these nothing is read."""
    found = list(newest(store, start=start, end=end).values())
    counts = [version.rows for version in reversed(found)]
    asked = rows
    while True:
        hours = 1 + sum(before < asked for before in accumulate(counts))
        with fetched(store, [version.data for version in found[-hours:] if version.rows]) as paths:
            kept = read_rows(paths, empty().schema).filter(where).tail(rows)
        if len(kept) == rows or hours >= len(found):
            return kept
        asked *= 2


def empty() -> pl.DataFrame:
    """Returns interactions without any row."""
    return pl.DataFrame(schema=pl.Schema(INTERACTIONS))


def commit(
    log: ShippedLog, hour: str, data: pl.DataFrame, late: pl.DataFrame, account: Account, *, joined_at: int
) -> Version:
    """Makes this, which came of `log`, the newest version of the hour, unless the newest says the same already. Raises
    LogRewritten."""
    files = _encoded(data, late)
    return publish(log, hour, data.lazy(), files, rows=len(data), account=account, joined_at=joined_at)


def publish(
    log: ShippedLog,
    hour: str,
    data: pl.LazyFrame,
    files: Mapping[str, bytes | Path],
    *,
    rows: int,
    account: Account,
    joined_at: int,
) -> Version:
    """`commit` of rows that need not stand in memory: `files` are the Parquet of `data`, and of late rewards, by the
    end of their keys. Raises LogRewritten."""
    store, digests = log.store, {suffix: digest(raw) for suffix, raw in files.items()}
    while True:
        found = versions_of(store, hour)
        old = Version.load(store, found[-1]) if found else None
        number = old.version + 1 if old else 1
        named = {layout.version_rows(hour, number, digests[suffix], suffix): raw for suffix, raw in files.items()}
        names = list(named)
        if old and Account.from_dict(old.account) == account and _same(store, old, data, rows, names):
            return old
        for key, raw in named.items():
            with suppress(AlreadyExists):
                store.create(key, raw)
        version = Version(
            hour=hour,
            version=number,
            joined_at=joined_at,
            rows=rows,
            data=names[0],
            late=names[1] if len(names) > 1 else "",
            account=account.to_dict(),
            changed=_changed(store, old, data, rows, account),
        )
        try:
            store.create(version.key, orjson.dumps(asdict(version), option=orjson.OPT_INDENT_2))
        except AlreadyExists:
            continue  # another join made this version: compare with it
        if not log.is_as_read():
            for key in (version.key, *named):
                store.delete(key)
            raise LogRewritten(f"{version.key}: a unit was forgotten meanwhile; join again")
        return version


@contextmanager
def fetched(store: Store, keys: list[str]) -> Iterator[list[Path]]:
    """Local paths of objects, while in the block."""
    with tempfile.TemporaryDirectory(prefix="croupier-") as folder:
        yield store.fetch(keys, Path(folder))


def _encoded(data: pl.DataFrame, late: pl.DataFrame) -> dict[str, bytes]:
    frames = {layout.PARQUET: data} | ({layout.LATE: late} if len(late) else {})
    return {suffix: _parquet(frame) for suffix, frame in frames.items()}


def _parquet(frame: pl.DataFrame) -> bytes:
    sink = pa.BufferOutputStream()
    parquet.write([frame], sink, frame.schema)
    return bytes(sink.getvalue())


def digest(raw: bytes | Path) -> str:
    """Sixteen hex digits of the SHA-256 of some rows as Parquet, which are part of their key."""
    hashed = hashlib.sha256()
    with opened(raw) as file:
        while some := file.read(1 << 20):
            hashed.update(some)
    return hashed.hexdigest()[:16]


def _same(store: Store, old: Version, data: pl.LazyFrame, rows: int, names: list[str]) -> bool:
    """Equal digests, or, where another version of the Parquet writer made the old one, equal rows."""
    if layout.digest_of(old.data) == layout.digest_of(names[0]):
        return True
    if old.rows != rows:
        return False
    with fetched(store, [old.data]) as paths:
        before = scan_rows(paths, empty().schema)
        return all(_slice(before, at).equals(_slice(data, at)) for at in range(0, rows, ROWS))


def _slice(data: pl.LazyFrame, at: int) -> pl.DataFrame:
    return data.slice(at, ROWS).collect()


def _changed(store: Store, old: Version | None, data: pl.LazyFrame, rows: int, account: Account) -> dict[str, int]:
    if old is None:
        return {}
    counts = {name: count - old.account.get(name, 0) for name, count in account.to_dict().items()}
    with fetched(store, [old.data]) as paths:
        before = scan_rows(paths, empty().schema).select("event_id", old_reward="reward")
        of = 1 + max(rows, old.rows) // ROWS
        shards = (Shard(number, of).holds() for number in range(of))
        found = Counter[str]()
        for holds in shards:
            found.update(_rows_changed(before.filter(holds).collect(), data.filter(holds)))
    return {name: change for name, change in (dict(found) | counts).items() if change}


def _rows_changed(before: pl.DataFrame, data: pl.LazyFrame) -> dict[str, int]:
    now = data.select("event_id", "reward").collect()
    both = now.join(before, on="event_id")
    return {
        "rows_added": len(now) - len(both), "rows_removed": len(before) - len(both),
        "rewards_changed": int((both["reward"] != both["old_reward"]).sum()),
    }  # fmt: skip
