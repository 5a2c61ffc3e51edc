"""Times as UTC microseconds since the epoch, and the names of hours. Needs nothing but the standard library."""

from datetime import UTC, datetime, timedelta

SECOND = 1_000_000  # µs, as are the others
MINUTE, HOUR, DAY = 60 * SECOND, 3600 * SECOND, 86_400 * SECOND
MINUTE_SECONDS, HOUR_SECONDS, DAY_SECONDS, WEEK_SECONDS = 60.0, 3600.0, 86_400.0, 604_800.0
YEAR_2100 = 4_102_444_800_000_000  # UTC µs; what is later was no time in microseconds
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def to_us(time: datetime) -> int:
    """Returns UTC µs since the epoch, exactly. A time without a zone is refused: it would mean another hour
    elsewhere."""
    if time.tzinfo is None:
        raise ValueError(f"time: found {time!r} without a time zone, expected one, e.g. datetime(..., tzinfo=UTC)")
    return (time - _EPOCH) // timedelta(microseconds=1)


def from_us(at: int) -> datetime:
    """Returns the time of UTC µs since the epoch, exactly."""
    return _EPOCH + timedelta(microseconds=int(at))


def day_start(at: int) -> int:
    """Returns the UTC µs at which the UTC day of `at` (UTC µs) begins."""
    return at // DAY * DAY


def us_of(seconds: float) -> int:
    """Seconds as whole µs."""
    return round(seconds * SECOND)


def to_the_second(at: int) -> str:
    """'2019-11-24 00:07:31' of a time in UTC µs, for people."""
    return f"{from_us(at):%Y-%m-%d %H:%M:%S}"


def hour_name(at: int) -> str:
    """'2019-11-24T00' of a time in UTC µs."""
    return from_us(at).strftime("%Y-%m-%dT%H")


def hour_start(name: str) -> int:
    """Returns the UTC µs at which the hour of this name begins."""
    return to_us(datetime.strptime(name, "%Y-%m-%dT%H").replace(tzinfo=UTC))
