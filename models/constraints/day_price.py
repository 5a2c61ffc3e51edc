"""The price of a day's budget: what makes the requests that are still to come spend what is left of it.

At each look the dual of the rest of the day is solved anew, on a sample of the latest requests: λ is the least price at
which they would spend no more a request than `allowed` says (Agrawal, Wang & Ye 2014, "A dynamic near-optimal algorithm
for online linear programming": prices learnt from the requests so far; Jasin & Kumar 2012 and Balseiro, Besbes &
Pizarro 2023: re-solving with what is left keeps the loss bounded, however many requests come). No step size is to be
tuned: what an hour has overspent is taken back over all that follow, and an error of the sample fades with what is
left."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from croupier.features.batch import F64
from croupier.models.constraints.pacing import HOURS, DayPlan

LEVEL_WEIGHT = 0.04  # of a day's requests, that "today is like other days" is worth against the latest hours
HALF_LIFE = 2.0  # hours, after which an hour says half as much of how busy the rest of the day will be
SAME = 1e-9  # of a spend: what differs by less does not
HALVINGS = 14  # of the interval that holds the price: to 1/16,000 of the highest one


@dataclass(frozen=True, kw_only=True, eq=False)
class DayLook:
    """What is known at a look: `requests` (48,) of each hour of yesterday and today by now, NaN where an hour is not
    known; `spent` of today; `hour` of today, 0 to 24, with its fraction.

    Raises ValueError for negative numbers, other shapes, and an hour that no day has."""

    requests: F64
    spent: float
    hour: float

    def __post_init__(self) -> None:
        if self.requests.shape != (2 * HOURS,) or (np.nan_to_num(self.requests) < 0).any():
            raise ValueError(f"requests: found {self.requests}, expected {2 * HOURS} numbers of at least 0, or NaN")
        if not 0 <= self.spent < np.inf or not 0 <= self.hour < HOURS:
            raise ValueError(
                f"look: found {self.spent} spent at hour {self.hour}, expected a finite number of at least 0, and an "
                f"hour from 0 to below {HOURS}"
            )


def demand_level(plan: DayPlan, look: DayLook) -> float:
    """How busy it is now against the plan: 1 as planned, 2 twice as many requests; the latest hours say most."""
    ends = np.arange(1, 2 * HOURS + 1)
    now = HOURS + look.hour
    lasted = np.clip(now - (ends - 1), 0, 1)  # of each hour, what is over
    known = np.isfinite(look.requests) & (lasted > 0)
    weight = known * 0.5 ** (np.maximum(now - ends, 0) / HALF_LIFE)
    prior = LEVEL_WEIGHT * plan.requests.sum()
    expected = weight @ (np.tile(plan.requests, 2) * lasted)
    return float((weight @ np.nan_to_num(look.requests) + prior) / (expected + prior))


def to_come(plan: DayPlan, look: DayLook) -> float:
    """Requests expected from now to the end of the day: the plan's, at the present level."""
    lasts = np.clip(np.arange(1, HOURS + 1) - look.hour, 0, 1)
    return float(demand_level(plan, look) * (plan.requests @ lasts))


def allowed(plan: DayPlan, look: DayLook, square: float = 0.0) -> float:
    """What may be spent a request from now on, so that the budget lasts for the day: at least 0.

    `square` is the mean of a request's squared cost. Where a stop keeps the budget to the unit, spend can only err
    below it, so as much is allowed as makes the budget one standard deviation of the rest of the day too large: a
    little early in the day, and in the last hours enough that the stop is what ends them."""
    left, requests = max(plan.budget - look.spent, 0.0), max(to_come(plan, look), 1.0)
    return (left + float(np.sqrt(square * requests))) / requests if left else 0.0


def price_of(rate: float, spends: Callable[[float], float], *, most: float) -> float:
    """The least price in [0, most] at which requests spend at most `rate` each; `most` where they spend more at any,
    and 0 where no price changes what they spend, as of a policy without scores.

    `spends(price)` is the mean spend of a request at a price. It falls with the price: of each posterior draw, and so
    of their votes, the arm that is best at a higher price costs no more."""
    low, high = 0.0, most
    free, least = spends(low), spends(high)
    if free <= rate or free - least <= SAME * free:
        return low
    if least > rate:
        return high
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if spends(middle) > rate else (low, middle)
    return high
