"""Where things lie in the store: one partition an hour of UTC, by the time of the event.

    log/decisions/hour=2019-11-24T00/<host>-<spool>-<first>-<last>.parquet    rows first..last of a host's spool
    log/rewards/…   log/rejects/…
    interactions/hour=2019-11-24T00/v0001.json, v0001-<digest>.parquet, v0001-<digest>.late.parquet
"""

from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from features.storage import Store

HOUR = 3_600_000_000  # µs
YEAR_2100 = 4_102_444_800_000_000  # UTC µs; what is later was no time in microseconds
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def to_us(time: datetime) -> int:
    """UTC µs since the epoch, exactly. A time without a zone is refused: it would mean another hour elsewhere."""
    if time.tzinfo is None:
        raise ValueError(f"time: found {time!r} without a time zone, expected one, e.g. datetime(..., tzinfo=UTC)")
    return (time - _EPOCH) // timedelta(microseconds=1)


def from_us(at: int) -> datetime:
    return _EPOCH + timedelta(microseconds=at)


def hour_name(at: int) -> str:
    """'2019-11-24T00' of a time in UTC µs."""
    return from_us(at).strftime("%Y-%m-%dT%H")


def hour_start(name: str) -> int:
    return to_us(datetime.strptime(name, "%Y-%m-%dT%H").replace(tzinfo=UTC))


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
    """Hour → Parquet objects of the log; kind is decisions | rewards | rejects."""
    return by_hour(store.list(f"log/{kind}/"))
