"""Who moves the prices: a controller that compares the matured log with what was planned.

Dual descent (Agrawal & Devanur 2014; Balseiro, Lu & Mirrokni 2020, algorithm 1 with the Euclidean mirror map; for the
problem Badanidiyuru, Kleinberg & Slivkins 2013, "Bandits with knapsacks"): λ ← max(0, λ + step · (usage − limit)), once
an hour, over the decisions that matured. Here it is also

    bounded            0 ≤ λ ≤ `most`, and a move is at most `largest_move`, whatever an hour says
    monotone           more spent in any matured hour never lowers the price, all else equal
    deaf to silence    an hour that has not matured moves nothing, and never counts as one in which nothing was spent

A budget of a day differs from a long-run mean in that its limit is of today: `allowed_rate` is what is left of it, for
each request that is still to come. Requests to come follow the hours of past days, at today's level.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from croupier.features.batch import F64

HOURS = 24
LEVEL_WEIGHT = 0.04  # of a day's requests, that "today is like other days" is worth against today's own


@dataclass(frozen=True, kw_only=True)
class Controller:
    """`step` is λ's move for decisions of an expected hour that are over their limit by 1 (of what `move` is told);
    `most` the highest price; `largest_move` the most in one move, in units of the price, as the others are.

    Raises ValueError for one that is not above 0."""

    step: float
    most: float
    largest_move: float

    def __post_init__(self) -> None:
        for name in ("step", "most", "largest_move"):
            if not 0 < getattr(self, name) < np.inf:
                raise ValueError(f"{name}: found {getattr(self, name)}, expected a finite number above 0")

    def move(self, price: float, excess: float | None) -> float:
        """The next price. `excess` is usage above the limit (below: negative), None where nothing matured, which leaves
        the price as it is. Raises ValueError for NaN: that is no excess, and not silence either."""
        if excess is None:
            return min(max(price, 0.0), self.most)
        if np.isnan(excess):
            raise ValueError("excess: found NaN, expected a number, or None for an hour that has not matured")
        moved = price + float(np.clip(self.step * excess, -self.largest_move, self.largest_move))
        return min(max(moved, 0.0), self.most)


@dataclass(frozen=True, kw_only=True, eq=False)
class DayPlan:
    """A day's `budget`, and `requests` (24,) expected in each of its hours.

    Raises ValueError for a budget that is not above 0, and for requests that are not 24 finite numbers above 0."""

    budget: float
    requests: F64

    def __post_init__(self) -> None:
        if not 0 < self.budget < np.inf:
            raise ValueError(f"budget: found {self.budget}, expected a finite number above 0")
        if self.requests.shape != (HOURS,) or not np.isfinite(self.requests).all() or (self.requests <= 0).any():
            raise ValueError(f"requests: found {self.requests}, expected {HOURS} finite numbers above 0, one an hour")

    @classmethod
    def of_days(cls, budget: float, days: Sequence[F64]) -> Self:
        """The plan from past days' requests (24,) each, NaN where an hour is missing: the median of each hour, which
        one strange day does not move; an hour of none counts as half a request. Raises ValueError for an hour that no
        day has."""
        past = np.array(days, dtype=np.float64).reshape(-1, HOURS)
        missing = np.flatnonzero(~np.isfinite(past).any(axis=0))
        if missing.size:
            raise ValueError(f"requests: found no past day with hour {missing[0]}, expected each hour in one at least")
        return cls(budget=budget, requests=np.maximum(np.nanmedian(past, axis=0), 0.5))


@dataclass(frozen=True, kw_only=True, eq=False)
class DaySoFar:
    """What has matured of a day: `requests` and `spent` (24,), NaN in both where an hour has not; `now` (0 to 23)
    is the hour about to begin.

    Raises ValueError for half an hour (one of both), for negative numbers, and for hours that have not begun."""

    requests: F64
    spent: F64
    now: int

    def __post_init__(self) -> None:
        if self.requests.shape != (HOURS,) or self.spent.shape != (HOURS,) or not 0 <= self.now < HOURS:
            raise ValueError(
                f"day: found {self.requests.shape}, {self.spent.shape} and hour {self.now}, expected (24,)"
            )
        if (np.isnan(self.requests) != np.isnan(self.spent)).any():
            raise ValueError("day: found an hour with requests or spend alone, expected both, or NaN in both")
        if not np.isnan(self.requests[self.now :]).all():
            raise ValueError(f"day: found a matured hour at or after {self.now}, which has not begun")
        if (np.nan_to_num(self.requests) < 0).any() or (np.nan_to_num(self.spent) < 0).any():
            raise ValueError("day: found negative requests or spend, expected numbers of at least 0")

    @property
    def matured(self) -> F64:
        """(24,) 1.0 on the hours that have matured, else 0.0."""
        return np.isfinite(self.requests).astype(np.float64)


def level(plan: DayPlan, day: DaySoFar) -> float:
    """Today's requests against the plan's, over the matured hours: above 1 on a busy day."""
    prior = LEVEL_WEIGHT * plan.requests.sum()
    expected = (plan.requests * day.matured).sum()
    return float((np.nansum(day.requests) + prior) / (expected + prior))


def allowed_rate(plan: DayPlan, day: DaySoFar) -> float:
    """What may be spent a request from now on, so that the budget lasts for the day: at least 0.

    A past hour that has not matured is taken to have spent as the matured ones of the day did a request, or as
    planned before any: neither nothing, which would be spent twice, nor a fault of its own."""
    per_request = plan.budget / plan.requests.sum()
    matured_requests = np.nansum(day.requests)
    rate = np.nansum(day.spent) / matured_requests if matured_requests > 0 else per_request
    today = level(plan, day)
    unknown = plan.requests[: day.now] * (1 - day.matured[: day.now])
    left = plan.budget - np.nansum(day.spent) - rate * today * unknown.sum()
    return float(max(left, 0.0) / (today * plan.requests[day.now :].sum()))


def day_excess(plan: DayPlan, day: DaySoFar, hour: int | None) -> float | None:
    """What `Controller.move` is told of a day's budget: spend of the matured `hour` above what is allowed a request, as
    a share of the plan's spend in a mean hour; None where `hour` is None or has not matured."""
    if hour is None or np.isnan(day.spent[hour]):
        return None
    over = day.spent[hour] - allowed_rate(plan, day) * day.requests[hour]
    return float(over / (plan.budget / HOURS))
