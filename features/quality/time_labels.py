"""Labels of a time axis: as fine as its steps need, and no coarser, so that two ticks never read the same."""

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import pairwise

DAY, MINUTE = "%d %b", "%H:%M"


def time_labels(times: Sequence[int]) -> list[str]:
    """Returns labels of UTC µs in order: by day, by minute with its day where there are several, or by second within
    minutes."""
    at = [datetime.fromtimestamp(us / 1e6, UTC) for us in times]
    several = len({each.date() for each in at}) > 1
    steps = [later - earlier for earlier, later in pairwise(times)]
    finest = min(steps, default=60_000_000)
    if several and finest >= 86_400_000_000:
        form = DAY
    else:
        form = f"{DAY} {MINUTE}" if several else MINUTE
        form += "" if finest >= 60_000_000 else ":%S"
    return [f"{each:{form}}" for each in at]


def since_start(us: int) -> tuple[str, float]:
    """Returns (unit, how many µs one is) in which a span of `us` is best read: minutes, hours or days."""
    for unit, size in (("minutes", 6e7), ("hours", 3.6e9)):
        if us <= 180 * size:
            return unit, size
    return "days", 8.64e10
