"""The store's objects by the hour they belong to: one partition an hour of UTC, by the time of the event.

Whoever asks for some hours lists those, whatever else is kept. Times are UTC µs; an hour is named by its start.
"""

from collections import defaultdict
from collections.abc import Iterable

from croupier.features.store import layout
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


def log_between(store: Store, kind: str, first: int, last: int) -> dict[str, list[str]]:
    """Returns hour → Parquet objects of the log in the hours from `first` to `last`; kind is decisions | rewards |
    rejects."""
    return by_hour(keys_between(store, layout.log_of(kind), first, last))


def versions_between(store: Store, first: int, last: int) -> dict[str, list[str]]:
    """Hour → the keys of its versions' small objects, oldest first, in the hours from `first` to `last`."""
    return by_hour(keys_between(store, layout.INTERACTIONS, first, last), layout.JSON)


def log_objects(store: Store, kind: str) -> dict[str, list[str]]:
    """Returns hour → Parquet objects of the whole log; kind is decisions | rewards | rejects."""
    return by_hour(store.list(layout.log_of(kind)))


def versions(store: Store) -> dict[str, list[str]]:
    """Hour → the keys of its versions' small objects, oldest first, of every hour that was ever joined."""
    return by_hour(store.list(layout.INTERACTIONS), layout.JSON)


def versions_of(store: Store, hour: str) -> list[str]:
    """The keys of an hour's versions, oldest first; [] where it was never joined."""
    return by_hour(store.list(layout.interactions_of(hour)), layout.JSON).get(hour, [])
