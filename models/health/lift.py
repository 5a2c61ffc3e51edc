"""What the served policies earn over uniform selection this week, from hourly sums alone.

With u = 1 − 1/(K p) of each row, the mean of u (r − r̄) estimates served minus uniform: the paired doubly-robust
difference with a constant reward model (Dudík, Langford & Li 2011, eq. 2). Its error is taken from the hours, so that
rows of one hour may depend on each other.
"""

from dataclasses import dataclass

import numpy as np

from croupier.models.health.history import History
from croupier.models.health.season import WEEK_HOURS


@dataclass(frozen=True, kw_only=True)
class ChampionLift:
    """Relative to uniform: its estimate and 95 % interval; `served` and `uniform` are rewards per decision."""

    value: float
    low: float
    high: float
    served: float
    uniform: float
    hours: int


def lift(history: History) -> ChampionLift | None:
    """Returns the lift of the last week; None where uniform earns nothing or hours are few."""
    u, ur, r = history.lift[-WEEK_HOURS:].T
    n = history.explore[-WEEK_HOURS:, 0]
    hours = int((n > 0).sum())
    if hours < 12:
        return None
    mean = float(r.sum() / n.sum())
    part = ur - mean * u
    gain = float(part.sum() / n.sum())
    error = float(np.sqrt(((part - gain * n) ** 2).sum()) / n.sum())
    uniform = mean - gain
    if uniform <= 0:
        return None
    low, high = ((gain + z * error) / uniform for z in (-1.96, 1.96))
    return ChampionLift(value=gain / uniform, low=low, high=high, served=mean, uniform=uniform, hours=hours)
