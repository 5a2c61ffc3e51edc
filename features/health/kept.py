"""The hourly figures in the store: health/hour=…/v0001.json, made once for each version of an hour's interactions."""

from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any

import orjson
import polars as pl

from croupier.features.health.figures import figures
from croupier.features.health.hosts import hashed
from croupier.features.interactions.versions import Version, empty, fetched, newest
from croupier.features.log.shipped import EVENT, REJECTED, host_of, read_rows, scan_rows
from croupier.features.log.spool_rows import LEFT_OUT
from croupier.features.spec import AppSpec
from croupier.features.store import layout
from croupier.features.store.partitions import keys_between, log_between, versions_between
from croupier.features.store.storage import AlreadyExists, Store
from croupier.features.utc import HOUR, hour_start, to_us


def keep(store: Store, spec: AppSpec, *, start: datetime, end: datetime) -> list[str]:
    """Makes the figures of every joined hour of [start, end) whose newest version has none. Returns those hours."""
    first, last = to_us(start) // HOUR * HOUR, to_us(end) - 1
    there = set(keys_between(store, layout.HEALTH_HOURS, first, last))
    missing = {h: v for h, v in newest(store, start=start, end=end).items() if layout.figures(v.key) not in there}
    if missing:
        first, last = hour_start(min(missing)), hour_start(max(missing))
        decisions, rejects = (log_between(store, kind, first, last) for kind in ("decisions", "rejects"))
    for hour, version in missing.items():
        made = of_version(store, spec, version, decisions.get(hour, []))
        made |= _left_out(store, rejects.get(hour, []))
        with suppress(AlreadyExists):  # another run was quicker: it read the same version
            store.create(layout.figures(version.key), orjson.dumps(made))
    return sorted(missing)


def of_version(store: Store, spec: AppSpec, version: Version, logged: list[str]) -> dict[str, Any]:
    """Returns the figures of a version; `logged` are the keys of the hour's objects in the log of decisions."""
    keys = [version.data] if version.rows else []
    with fetched(store, keys) as paths:
        rows = scan_rows(paths, empty().schema)
        made = figures(rows, spec, account=version.account, logged=_hosts(store, logged))
    return made | {"hour": version.hour, "version": version.version}


def _left_out(store: Store, keys: list[str]) -> dict[str, dict[str, int]]:
    """{"left_out": how many values of each undeclared feature requests were answered without}; {} where there were
    none."""
    with fetched(store, keys) as paths:
        rows = read_rows(paths, REJECTED).filter(kind=LEFT_OUT)
    found = Counter[str]()
    for name, n in rows.select("field", "raw").iter_rows():
        found[name] += int(n)
    return {"left_out": dict(found)} if found else {}


def _hosts(store: Store, keys: list[str]) -> pl.DataFrame | None:
    """Returns which host logged which event."""
    parts = []
    with fetched(store, keys) as paths:
        for key, path in zip(keys, paths, strict=True):
            rows = read_rows([path], EVENT).select("event_id", host=pl.lit(host_of(key, path)))
            parts.append(hashed(rows))
    return pl.concat(parts).unique("event", keep="first", maintain_order=True) if parts else None


def read(store: Store, *, start: datetime, end: datetime) -> list[Mapping[str, Any]]:
    """The figures of the hours of [start, end) in order of time, each of its newest version that has some."""
    first, last = to_us(start) // HOUR * HOUR, to_us(end) - 1
    found = {layout.hour_of(key): key for key in keys_between(store, layout.HEALTH_HOURS, first, last)}
    known = versions_between(store, first, last)
    return [orjson.loads(store.get(key)) for hour, key in found.items() if hour in known]
