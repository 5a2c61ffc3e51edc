"""An interval is whole hours of UTC, whatever zone it was written in."""

from datetime import UTC, datetime

import pytest

from croupier.features.workspace import Interval

HOUR = Interval(datetime(2026, 1, 1, 0, tzinfo=UTC), datetime(2026, 1, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize(("start", "end"), [
    ("2026-01-01T00:00Z", "2026-01-01T01:00Z"), ("2026-01-01T00:20+00:00", "2026-01-01T00:40+00:00"),
    ("2026-01-01T02:00+02:00", "2026-01-01T03:00+02:00"), ("2026-01-01T05:30+05:30", "2026-01-01T06:30+05:30"),
    ("2025-12-31T20:45-03:30", "2025-12-31T21:15-03:30"),
])  # fmt: skip
def test_zones(start, end):
    found = Interval.parse(start, end)
    assert (found, found.key) == (HOUR, "20260101T0000-20260101T0100")


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("2026-01-01T00:00", "2026-01-01T01:00"),
        ("2026-01-01T02:00Z", "2026-01-01T01:00Z"),
    ],
)
def test_refusals(start, end):
    with pytest.raises(ValueError, match="two times with zone, the first earlier"):
        Interval.parse(start, end)
