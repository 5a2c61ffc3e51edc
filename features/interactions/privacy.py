"""Forgetting a unit, and letting old partitions go.

Raw unit ids never enter the log: units are keyed hashes on receipt (`ids.hash_unit`). `forget` removes every row of a
unit and every reward of its decisions, from the spool, the log, what was joined from it and the reports on this
machine, restates the hours it touched, and deletes the encoded logs that held it (build_features makes them anew). A
store that keeps old versions of objects (S3 versioning) must be told to expire them.
"""

import io
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import orjson
import polars as pl
import pyarrow as pa

from croupier.features.interactions.account import Account
from croupier.features.interactions.join import join_hours
from croupier.features.interactions.joins import scratch
from croupier.features.interactions.versions import Version
from croupier.features.log import deferred
from croupier.features.log.room import RETRY, make_room
from croupier.features.log.ship import KEPT, ship
from croupier.features.log.shipped import ShippedLog, open_log, rewritten
from croupier.features.log.spool import Spool
from croupier.features.log.spool_rows import KINDS, Kind
from croupier.features.settings import JOIN_ROWS
from croupier.features.spec import RewardSpec
from croupier.features.store import layout
from croupier.features.store.locks import alone
from croupier.features.store.parquet import bytes_of, table_of
from croupier.features.store.partitions import HOURLY, LOGGED, by_hour, keys_between, versions_of
from croupier.features.store.storage import Conflict, Store
from croupier.features.utc import DAY, hour_start, to_us

Joins = Callable[[ShippedLog, list[str]], Account]


@dataclass(frozen=True)
class Forgotten:
    """Rows deleted from the spool, objects of the store and files rewritten, hours restated."""

    rows: int
    objects: int
    hours: list[str]


def forget(
    store: Store,
    spool: Spool,
    spec: RewardSpec,
    *,
    unit_id: str,
    host: str,
    now: datetime,
    reports: Sequence[Path] = (),
    most: int = JOIN_ROWS,
) -> Forgotten:
    """Deletes every row of a unit; `unit_id` is the hash that the log holds; `most`: see join_hours. Safe to repeat;
    after a crash, `finish` or call it again.

    On one host several take turns."""
    join = partial(join_hours, spec=spec, now=now, most=most)
    with alone(spool.path.with_name(f"{spool.path.name}.forget")):
        return _forget(store, spool, join, unit_id=unit_id, host=host, reports=reports)


def _forget(store: Store, spool: Spool, join: Joins, *, unit_id: str, host: str, reports: Sequence[Path]) -> Forgotten:
    """Decisions in the store go last of all rows, since they are how the unit's rewards are found."""
    ship(spool, store, host=host)  # so that spool and store hold the same rows of it
    unfinished = spool.noted("forgetting") is not None
    spool.note("forgetting", unit_id)  # until the end, spool and store may differ: prune waits
    keys = {kind: [k for k in store.list(layout.log_of(kind)) if k.endswith(layout.PARQUET)] for kind in LOGGED}
    logged = keys.pop("decisions")
    events = _spooled(spool, unit_id) | {event for key in logged for event in _events(store, key, unit_id)}
    secrets = [unit_id, *events]
    objects = sum(_rewrite(store, key, secrets) for others in keys.values() for key in others)
    rows = _forget_spooled(spool, secrets)
    objects += sum(_rewrite(store, key, secrets) for key in logged)
    if objects or rows or unfinished:
        rewritten(store)
        known = {*logged, *(key for others in keys.values() for key in others)}
        later = {key for kind in LOGGED for key in store.list(layout.log_of(kind))} - known
        objects += sum(_rewrite(store, key, secrets) for key in later)  # merged meanwhile
    hours = _restate(store, join, secrets)
    done = (layout.LOG, layout.INTERACTIONS, layout.FEATURES)
    elsewhere = [key for key in store.list("") if key.endswith(layout.PARQUET) and not key.startswith(done)]
    objects += sum(_rewrite(store, key, secrets) for key in elsewhere)
    encoded = [key for key in store.list(layout.FEATURES) if key.endswith(f"/{layout.ENCODED}")]
    objects += sum(_drop_encoded(store, key, secrets) for key in encoded)
    files = [path for folder in reports for path in sorted(folder.rglob(f"*{layout.PARQUET}"))]
    objects += sum(_rewrite_file(path, secrets) for path in files)
    spool.note("forgetting", None)
    spool.purge([])
    return Forgotten(rows, objects, hours)


def finish(
    store: Store,
    spool: Spool,
    spec: RewardSpec,
    *,
    host: str,
    now: datetime,
    reports: Sequence[Path] = (),
    most: int = JOIN_ROWS,
) -> None:
    """Ends a `forget` that died half-way on this host, if there is one."""
    if unit_id := spool.noted("forgetting"):
        forget(store, spool, spec, unit_id=str(unit_id), host=host, now=now, reports=reports, most=most)


def expire(store: Store, *, days: int, now: datetime) -> list[str]:
    """Deletes every object of an hour that began more than `days` ago; returns their keys."""
    oldest = to_us(now - timedelta(days=days))
    due = (key for prefix in HOURLY for key in keys_between(store, prefix, 0, oldest))
    old = [key for key in due if hour_start(layout.hour_of(key)) < oldest]
    for key in old:
        store.delete(key)
    return old


def retain(store: Store, spool: Spool, *, days: int, now: datetime, window: int = RETRY) -> dict[str, int]:
    """Deletes what retention says at both ends: the spool's rows (log/room.py: at most a week old, and only what the
    store holds; `window`: its retry window), the store's hours."""
    kept = min(days * DAY, KEPT)
    deferred.expire(spool, to_us(now) - kept)  # long after whoever deferred them has given them up
    rows = make_room(spool, store, window=window, now=to_us(now), kept=kept)
    scratch.sweep(store, now=to_us(now))
    return {"spool_rows": rows, "objects": len(expire(store, days=days, now=now))}


def _spooled(spool: Spool, unit_id: str) -> set[str]:
    return {row["event_id"] for _, row in _rows(spool, "decisions") if row["unit_id"] == unit_id}


def _rows(spool: Spool, kind: Kind) -> Iterable[tuple[int, dict[str, str]]]:
    after = 0
    while rows := spool.read(kind, after, 10_000):
        yield from ((i, orjson.loads(body)) for i, body in rows)
        after = rows[-1][0]


def _events(store: Store, key: str, unit_id: str) -> list[str]:
    raw, version = store.read(key)
    if version is None:  # retention was quicker
        return []
    frame = pl.read_parquet(io.BytesIO(raw), columns=["event_id", "unit_id"])
    return frame.filter(pl.col("unit_id") == unit_id)["event_id"].to_list()


def _forget_spooled(spool: Spool, secrets: list[str]) -> int:
    doomed = [(kind, [i for i, row in _rows(spool, kind) if _is_about(row, secrets)]) for kind in KINDS]
    waiting = deferred.forget(spool, secrets[0], secrets[1:])  # before the purge, which overwrites what was deleted
    spool.purge(doomed)
    return waiting + sum(len(rows) for _, rows in doomed)


def _is_about(row: dict[str, str], secrets: list[str]) -> bool:
    return row.get("unit_id") == secrets[0] or row.get("event_id") in secrets or _mentions(row.get("raw", ""), secrets)


def _mentions(raw: str, secrets: Iterable[str]) -> bool:
    return bool(raw) and any(secret in raw for secret in secrets)


def _restate(store: Store, join: Joins, secrets: list[str]) -> list[str]:
    """Joins the unit's hours again, and deletes every older version of their rows, and the figures that were made of
    them: they hold the unit, or what only it had."""
    hours, joined = [], by_hour(store.list(layout.INTERACTIONS))
    figures = by_hour(store.list(layout.HEALTH_HOURS), layout.JSON)
    with open_log(store) as log:
        for hour, keys in joined.items():
            if any(_holds(store, key, secrets) for key in keys):
                join(log, [hour])
                newest = Version.load(store, versions_of(store, hour)[-1])
                for key in (set(keys) - {newest.data, newest.late}).union(figures.get(hour, ())):
                    store.delete(key)
                hours.append(hour)
    return hours


def _holds(store: Store, key: str, secrets: list[str]) -> bool:
    """Not what retention deleted meanwhile."""
    raw, version = store.read(key)
    return version is not None and _without(raw, secrets) is not None


def _rewrite(store: Store, key: str, secrets: list[str]) -> bool:
    while True:
        raw, version = store.read(key)
        left = _without(raw, secrets) if version else None
        if left is None:
            return False
        with suppress(Conflict):  # another host forgets another unit: what it wrote is what counts
            store.swap(key, left, version)
            return True


def _drop_encoded(store: Store, key: str, secrets: list[str]) -> bool:
    """An encoded log that holds the unit goes as a whole, with what is aligned to it: build_features makes it anew."""
    holds = _holds(store, key, secrets)
    if holds:
        store.delete(layout.beside(key, layout.SEGMENTS))
        store.delete(key)
    return holds


def _rewrite_file(path: Path, secrets: list[str]) -> bool:
    left = _without(path.read_bytes(), secrets)
    if left is not None:
        path.write_bytes(left)
    return left is not None


def _without(parquet: bytes, secrets: list[str]) -> bytes | None:
    """Returns the Parquet without the rows about these; None without any. `unit` is the hash's first 64 bits."""
    table: pa.Table = table_of(parquet)
    unit_id, events = secrets[0], secrets[1:]
    tests = {
        "unit_id": pl.col("unit_id") == unit_id,
        "event_id": pl.col("event_id").is_in(events),
        "unit": pl.col("unit") == (int(unit_id[:16], 16) if len(unit_id) == 32 else -1),
        "raw": pl.col("raw").str.contains_any(secrets),
    }
    names = [name for name in tests if name in table.column_names]
    if not names:
        return None
    about = pl.any_horizontal(tests[name].fill_null(value=False) for name in names)
    gone = pl.DataFrame(table.select(names)).select(about=about)["about"]
    return bytes_of(table.filter(pa.array((~gone).to_list()))) if gone.any() else None
