"""Times as UTC microseconds since the epoch, and the names of hours. Needs nothing but the standard library."""

from datetime import UTC, datetime, timedelta

HOUR = 3_600_000_000  # µs
YEAR_2100 = 4_102_444_800_000_000  # UTC µs; what is later was no time in microseconds
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def to_us(time: datetime) -> int:
    """Returns UTC µs since the epoch, exactly. A time without a zone is refused: it would mean another hour
    elsewhere."""
    if time.tzinfo is None:
        raise ValueError(f"time: found {time!r} without a time zone, expected one, e.g. datetime(..., tzinfo=UTC)")
    return (time - _EPOCH) // timedelta(microseconds=1)


def from_us(at: int) -> datetime:
    """Returns the datetime of UTC microseconds."""
    return _EPOCH + timedelta(microseconds=at)


def hour_name(at: int) -> str:
    """'2019-11-24T00' of a time in UTC µs."""
    return from_us(at).strftime("%Y-%m-%dT%H")


def hour_start(name: str) -> int:
    """Returns the UTC microseconds at which the hour of this name begins."""
    return to_us(datetime.strptime(name, "%Y-%m-%dT%H").replace(tzinfo=UTC))
