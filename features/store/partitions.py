"""The store's objects by the hour they belong to: one partition an hour of UTC, by the time of the event.

Whoever asks for some hours lists those, whatever else is kept. Times are UTC µs; an hour is named by its start.
"""

from collections import defaultdict
from collections.abc import Iterable

from croupier.features.store import layout, log_layout
from croupier.features.store.log_layout import FOREIGN, TARDY
from croupier.features.store.storage import Store
from croupier.features.utc import HOUR, YEAR_2100, hour_name

LOGGED = ("decisions", "rewards", "rejects", FOREIGN, TARDY)  # the kinds of the log's objects
HOURLY = (*map(layout.log_of, LOGGED), layout.INTERACTIONS, layout.QUALITY, layout.QUARANTINE, layout.HEALTH_HOURS)


def by_hour(keys: Iterable[str], suffix: str = layout.PARQUET) -> dict[str, list[str]]:
    """Keys grouped by their hour, in order of time."""
    groups: dict[str, list[str]] = defaultdict(list)
    for key in sorted(keys):
        if key.endswith(suffix):
            groups[layout.hour_of(key)].append(key)
    return dict(sorted(groups.items()))


def keys_between(store: Store, prefix: str, first: int, last: int) -> list[str]:
    """Returns the keys `<prefix>hour=H/…` of the hours from that of `first` to that of `last`, sorted. No other hour is
    listed. Times before 1970 and after 2099 are of no hour."""
    first, last = max(first, 0), min(last, YEAR_2100 - 1)
    if first > last:
        return []
    if first // HOUR == last // HOUR:
        return store.list(layout.hour_below(prefix, hour_name(first)))
    return store.between(*layout.hours_below(prefix, hour_name(first), hour_name(last)))


def whole(keys: Iterable[str]) -> list[str]:
    """The objects of an hour of the log without those whose rows another one holds, too, since they were merged
    (log/index/merge.py); sorted. Rows of a spool never overlap but so."""
    widest: dict[str, log_layout.RowRange] = {}
    kept = []
    for key, rows in sorted(((key, log_layout.rows_of(key)) for key in keys), key=_by_rows):
        known = widest.get(rows.spool) if rows else None
        if rows and known and known.first <= rows.first and rows.last <= known.last:
            continue
        if rows:
            widest[rows.spool] = rows
        kept.append(key)
    return sorted(kept)


def _by_rows(each: tuple[str, log_layout.RowRange | None]) -> tuple[str, int, int]:
    """Returns the order of objects: of one spool the earlier first, and of two that begin at one row the longer."""
    key, rows = each
    return (rows.spool, rows.first, -rows.last) if rows else (key, 0, 0)


def log_between(store: Store, kind: str, first: int, last: int) -> dict[str, list[str]]:
    """Returns hour → Parquet objects of the log in the hours from `first` to `last`; kind is decisions | rewards |
    rejects."""
    found = by_hour(keys_between(store, layout.log_of(kind), first, last))
    return {hour: whole(keys) for hour, keys in found.items()}


def versions_between(store: Store, first: int, last: int) -> dict[str, list[str]]:
    """Hour → the keys of its versions' small objects, oldest first, in the hours from `first` to `last`."""
    return by_hour(keys_between(store, layout.INTERACTIONS, first, last), layout.JSON)


def log_objects(store: Store, kind: str) -> dict[str, list[str]]:
    """Returns hour → Parquet objects of the whole log; kind is decisions | rewards | rejects."""
    return {hour: whole(keys) for hour, keys in by_hour(store.list(layout.log_of(kind))).items()}


def versions(store: Store) -> dict[str, list[str]]:
    """Hour → the keys of its versions' small objects, oldest first, of every hour that was ever joined."""
    return by_hour(store.list(layout.INTERACTIONS), layout.JSON)


def versions_of(store: Store, hour: str) -> list[str]:
    """The keys of an hour's versions, oldest first; [] where it was never joined."""
    return by_hour(store.list(layout.interactions_of(hour)), layout.JSON).get(hour, [])
