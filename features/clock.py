"""The time of the loop: when an event was, which hour is mature, what is due. Time limits and latencies never ask here.

It is the host's clock, unless CROUPIER_CLOCK sets another one for every process of an installation, so that a month can
be watched in an hour:

    CROUPIER_CLOCK=2026-03-01T00:00:00Z@720@1796000000

That moment was at Unix time 1796000000, and time runs 720 times as fast.

A simulation in one process sets it by `at`.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache
from math import inf

from croupier.features.utc import HOUR, SECOND, from_us, to_us, us_of

VARIABLE = "CROUPIER_CLOCK"
_fixed: int | None = None


def now_us() -> int:
    """Returns UTC µs since the epoch."""
    if _fixed is not None:
        return _fixed
    real = _real_us()
    text = os.environ.get(VARIABLE, "")
    if not text:
        return real
    start, speed, anchor = _parsed(text)
    return start + round((real - anchor) * speed)


def now() -> datetime:
    """Returns the clock's time as a datetime in UTC."""
    return from_us(now_us())


def elapsed(at: int, *, now: int) -> float:
    """Returns the µs from `at` to `now`, both UTC µs: 0 where `at` is ahead by no more than clocks of hosts differ, and
    infinite where it is further ahead. A clock that was wrong wrote that, and nobody knows when it was: who waited for
    it would wait until then."""
    return max(now - at, 0) if at - now <= HOUR else inf


@contextmanager
def at(us: int) -> Iterator[None]:
    """Sets the clock to `us` (UTC µs) inside the block, in every thread of this process; calls may be nested."""
    global _fixed
    before, _fixed = _fixed, us
    try:
        yield
    finally:
        _fixed = before


def speed() -> float:
    """How many times as fast as the host's clock the loop's clock runs: 1 unless CROUPIER_CLOCK says otherwise."""
    text = os.environ.get(VARIABLE, "")
    return _parsed(text)[1] if text else 1.0


def setting(start: datetime, *, speed: float) -> str:
    """The value of CROUPIER_CLOCK under which it is `start` now, and time runs `speed` times as fast from here."""
    text = f"{start.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}@{speed:g}@{_real_us() // SECOND}"
    _parsed(text)
    return text


def _real_us() -> int:
    """UTC µs by the host's clock."""
    return time.time_ns() // 1000


@lru_cache(maxsize=4)
def _parsed(text: str) -> tuple[int, float, int]:
    """(start in UTC µs, speed, real UTC µs at which it was so)."""
    try:
        start, speed, anchor = text.split("@")
        at = to_us(datetime.fromisoformat(start))
        parsed = at, float(speed), us_of(float(anchor))
    except (ValueError, TypeError):
        parsed = 0, 0.0, 0
    if not 0 < parsed[1] <= 1e6:
        raise ValueError(
            f"{VARIABLE}: found {text!r}, expected START@SPEED@UNIXTIME with a zone and a speed above 0, "
            "for example 2026-03-01T00:00:00Z@720@1796000000"
        )
    return parsed
