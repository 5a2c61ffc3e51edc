"""The store's objects by the hour they belong to: one partition an hour of UTC, by the time of the event."""

from collections import defaultdict
from collections.abc import Iterable

from croupier.features.store import layout
from croupier.features.store.storage import Store


def by_hour(keys: Iterable[str], suffix: str = layout.PARQUET) -> dict[str, list[str]]:
    """Keys grouped by their hour, in order of time."""
    groups: dict[str, list[str]] = defaultdict(list)
    for key in sorted(keys):
        if key.endswith(suffix):
            groups[layout.hour_of(key)].append(key)
    return dict(sorted(groups.items()))


def log_objects(store: Store, kind: str) -> dict[str, list[str]]:
    """Returns hour → Parquet objects of the log; kind is decisions | rewards | rejects."""
    return by_hour(store.list(layout.log_of(kind)))


def versions(store: Store) -> dict[str, list[str]]:
    """Hour → the keys of its versions' small objects, oldest first."""
    return by_hour(store.list(layout.INTERACTIONS), layout.JSON)


def versions_of(store: Store, hour: str) -> list[str]:
    """The keys of an hour's versions, oldest first; [] where it was never joined."""
    return by_hour(store.list(layout.interactions_of(hour)), layout.JSON).get(hour, [])
