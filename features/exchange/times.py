"""Times of foreign logs as UTC microseconds; rows without one are dated a second apart from the year 2000."""

import re
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from croupier.features.utc import SECOND

_UTC = re.compile(r"\s+(UTC|GMT)$")  # as BigQuery exports it
_LEAP = re.compile(r"(?<=:\d\d):60(?=$|[.,Zz+-])")
_START = int(datetime(2000, 1, 1, tzinfo=UTC).timestamp())
INVENTED_BEFORE = int(datetime(2001, 1, 1, tzinfo=UTC).timestamp()) * SECOND  # 31 million rows without a time


def invented(row: int) -> int:
    """The time that a row without one is given."""
    return (_START + row) * SECOND


def micros(value: Any) -> int:
    """Returns the UTC microseconds of a datetime, a date or ISO 8601 text; without a zone it is UTC. A leap second is
    the second after it, as POSIX counts. Raises ValueError on what is no time."""
    if isinstance(value, datetime):
        return _of(value)
    text, leaps = _LEAP.subn(":59", _UTC.sub("+00:00", str(value)))
    return _of(datetime.fromisoformat(text)) + leaps * SECOND


def zoned(value: Any) -> bool:
    """True if a time says its zone, or is no time of the day."""
    if isinstance(value, datetime):
        return value.tzinfo is not None
    with suppress(ValueError):
        return datetime.fromisoformat(_LEAP.sub(":59", _UTC.sub("+00:00", str(value)))).tzinfo is not None
    return True


def _of(at: datetime) -> int:
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return int(at.timestamp() // 1) * SECOND + at.microsecond
