"""Labels of a time axis: as fine as its steps need, and no coarser, so that two ticks never read the same."""

from collections.abc import Sequence
from itertools import pairwise

from croupier.features.utc import DAY, HOUR, MINUTE, from_us

DATE, TIME = "%d %b", "%H:%M"


def time_labels(times: Sequence[int]) -> list[str]:
    """Returns labels of UTC µs in order: by day, by minute with its day where there are several, or by second within
    minutes."""
    at = [from_us(us) for us in times]
    several = len({each.date() for each in at}) > 1
    steps = [later - earlier for earlier, later in pairwise(times)]
    finest = min(steps, default=MINUTE)
    if several and finest >= DAY:
        form = DATE
    else:
        form = f"{DATE} {TIME}" if several else TIME
        form += "" if finest >= MINUTE else ":%S"
    return [f"{each:{form}}" for each in at]


def since_start(us: int) -> tuple[str, float]:
    """Returns (unit, how many µs one is) in which a span of `us` is best read: minutes, hours or days."""
    for unit, size in (("minutes", float(MINUTE)), ("hours", float(HOUR))):
        if us <= 180 * size:
            return unit, size
    return "days", float(DAY)
