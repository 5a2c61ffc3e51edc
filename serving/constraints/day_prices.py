"""The prices of the days' budgets at a look: each solved for what is left of the day, on the latest requests."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import partial

import numpy as np

from croupier.features.batch import F64
from croupier.features.utc import HOUR, day_start, hour_start, to_us
from croupier.models.constraints.day_price import DayLook, allowed, price_of
from croupier.models.constraints.pacing import HOURS, DayPlan
from croupier.serving.constraints.recent_requests import RecentRequests
from croupier.serving.constraints.spent import SpentToday

PAST = timedelta(days=8)  # of joined hours: what a usual day looks like
STILL = 0.01  # of a price: what it moves by at least, else it stays as it is
MOST = 1.0  # of the reward's range: the highest price of the dearest arm


def solved(
    prices: Mapping[str, float],
    sample: RecentRequests,
    today: SpentToday,
    *,
    counts: Mapping[str, float],
    now: datetime,
    reward: float,
) -> dict[str, float]:
    """The prices, those of spends solved anew; of several, one after another. `counts`: rows of joined hours; `reward`:
    its range."""
    found, begin = dict(prices), day_start(to_us(now))
    for name, usage in sample.usages.items():
        if not usage.budget or not any(usage.of.values()):
            continue
        plan = DayPlan(budget=usage.budget, requests=usual(counts, begin))
        look = DayLook(
            requests=hourly(counts, today.requests, begin),
            spent=today.spent[name],
            hour=(to_us(now) - begin) / HOUR,
        )
        rate = allowed(plan, look, square=sample.spends(name, found)[1])
        most = MOST * reward / max(usage.of.values())
        new = price_of(rate, partial(_mean_spend, sample, found, name), most=most)
        found[name] = new if abs(new - found[name]) > STILL * found[name] else found[name]
    return found


def _mean_spend(sample: RecentRequests, prices: Mapping[str, float], name: str, price: float) -> float:
    """What a request spends where the price of `name` is `price`, and the others are what they are."""
    return sample.spends(name, {**prices, name: price})[0]


def hourly(counts: Mapping[str, float], today: Mapping[str, float], begin: int) -> F64:
    """(48,) requests of each hour of the day before `begin` (UTC µs), as joined, and of the day since, as shipped; NaN
    where an hour has none."""
    found = np.full(2 * HOURS, np.nan)
    for of, first in ((counts, begin - 24 * HOUR), (today, begin)):
        for name, rows in of.items():
            if 0 <= (place := (hour_start(name) - first) // HOUR) < HOURS:
                found[(first - begin) // HOUR + HOURS + place] = rows
    return found


def usual(counts: Mapping[str, float], begin: int) -> F64:
    """(24,) requests of a usual day's hours: the median of the days before `begin` (UTC µs); where no day has an hour,
    the mean of all hours that there are."""
    table = np.full((PAST.days, HOURS), np.nan)
    for name, rows in counts.items():
        day, at = divmod(hour_start(name) - (begin - PAST.days * 24 * HOUR), 24 * HOUR)
        if 0 <= day < PAST.days:
            table[day, at // HOUR] = rows
    mean = np.mean([*counts.values()]) if counts else 1.0
    known = np.isfinite(table).any(axis=0)
    found = np.full(HOURS, float(mean))
    found[known] = np.nanmedian(table[:, known], axis=0)
    return np.maximum(found, 0.5)
