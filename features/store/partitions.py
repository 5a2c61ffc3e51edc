"""Where things lie in the store: one partition an hour of UTC, by the time of the event.

log/decisions/hour=2019-11-24T00/<host>-<spool>-<first>-<last>.parquet    rows first..last of a host's spool
log/rewards/…   log/rejects/…
interactions/hour=2019-11-24T00/v0001.json, v0001-<digest>.parquet, v0001-<digest>.late.parquet
"""

from collections import defaultdict
from collections.abc import Iterable

from croupier.features.store.storage import Store


def hour_of(key: str) -> str:
    """The hour a key of this store belongs to; '' where it belongs to none."""
    return key.partition("hour=")[2].partition("/")[0]


def by_hour(keys: Iterable[str], suffix: str = ".parquet") -> dict[str, list[str]]:
    """Keys grouped by their hour, in order of time."""
    groups: dict[str, list[str]] = defaultdict(list)
    for key in sorted(keys):
        if key.endswith(suffix):
            groups[hour_of(key)].append(key)
    return dict(sorted(groups.items()))


def log_objects(store: Store, kind: str) -> dict[str, list[str]]:
    """Returns hour → Parquet objects of the log; kind is decisions | rewards | rejects."""
    return by_hour(store.list(f"log/{kind}/"))
