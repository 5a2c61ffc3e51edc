"""Who moves the prices of long-run constraints: a step of every turn, and of the watch, from the joined log.

Each hour moves them once, when it has been joined, however late; an hour that is missing moves nothing, and never
counts as one in which nothing was spent (models/constraints/pacing.py). A day's spend has a stop beside its price: once
the shipped log of today, joined or not, has spent the budget, arms that cost something are left out until midnight UTC.
What is decided between two looks can be spent beyond it: `croupier turn --every` says how often is looked.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import polars as pl

from croupier.features.batch import F64
from croupier.features.interactions.versions import newest, read_interactions
from croupier.features.log.shipped import open_log
from croupier.features.store.storage import Store, StoreError
from croupier.features.utc import HOUR, hour_start, to_us
from croupier.features.workspace import Workspace
from croupier.models.constraints import kept_multipliers
from croupier.models.constraints.long_run import Usage
from croupier.models.constraints.multipliers import Multipliers
from croupier.models.constraints.pacing import HOURS, Controller, DayPlan, DaySoFar, day_excess
from croupier.serving.release import bundle_store
from croupier.serving.release.safeguards import Safeguards

log = logging.getLogger(__name__)
PAST = timedelta(days=8)  # of joined hours: what a usual day looks like
SHARE = 0.02  # of the reward's range: the largest move of a price in an hour, for a unit of usage
MOST = 1.0  # of the reward's range: the highest price of a unit of usage
LOOKED = ("event_id", "at", "arm", "arms", "pmf")


@dataclass(frozen=True, kw_only=True)
class Moved:
    """What a look has done: the multipliers in force, and the hours that moved them now."""

    multipliers: Multipliers
    hours: Sequence[str]


def move(w: Workspace, *, now: datetime) -> Moved | None:
    """Looks once. None where the current release has no long-run constraint. Safe to repeat: an hour moves once."""
    usages = declared(w.store)
    if not usages:
        return None
    kept = kept_multipliers.now(w.store)
    joined = sorted(newest(w.store, start=now - PAST, end=now))
    fresh = [hour for hour in joined if hour not in kept.hours] if kept.multipliers.version else joined[-1:]
    prices = {name: kept.multipliers.prices.get(name, 0.0) for name in usages}
    if fresh:  # else eight days of rows would be read at each look
        prices = _after(w, prices, usages, fresh, joined=joined, now=now)
    day = f"{now:%Y-%m-%d}"
    stopped = tuple(name for name, u in usages.items() if u.budget and spent_today(w.store, u, now) >= u.budget)
    new = Multipliers(
        version=kept.multipliers.version + 1,
        prices=prices,
        made_from=(fresh[0], fresh[-1]) if fresh else kept.multipliers.made_from,
        stopped=stopped,
        day=day if stopped else "",
    )
    if not fresh and (new.stopped, new.day) == (kept.multipliers.stopped, kept.multipliers.day):
        return Moved(multipliers=kept.multipliers, hours=())
    seen = sorted({*joined, *fresh})
    return Moved(multipliers=new, hours=fresh) if kept_multipliers.keep(w.store, kept, new, seen) else None


def _after(
    w: Workspace,
    prices: Mapping[str, float],
    usages: Mapping[str, Usage],
    fresh: Sequence[str],
    *,
    joined: Sequence[str],
    now: datetime,
) -> dict[str, float]:
    """The prices after these hours."""
    rows = read_interactions(w.store, start=now - PAST, end=now).select(LOOKED)
    hours = {hour: rows.filter(pl.col("at") // HOUR * HOUR == hour_start(hour)) for hour in joined}
    found, (low, high) = dict(prices), w.spec.reward.range
    for hour in fresh:
        for name, usage in usages.items():
            excess = _day_excess(usage, hours, hour, now) if usage.budget else _mean_excess(usage, hours, hour)
            found[name] = _controller(usage, high - low).move(found[name], excess)
    return found


def declared(store: Store) -> dict[str, Usage]:
    """The long-run constraints that the current release has; none before there is one."""
    number = bundle_store.current(store)
    if number is None:
        return {}
    return Safeguards.of(bundle_store.manifest(store, number)).usages(bundle_store.arms(store, number))


def spent_today(store: Store, usage: Usage, now: datetime) -> float:
    """What the decisions of the UTC day so far cost that are shipped, joined or not."""
    midnight = to_us(now.replace(hour=0, minute=0, second=0, microsecond=0))
    with open_log(store) as shipped:
        hours = shipped.hours("decisions", midnight, to_us(now))
        frame = shipped.read("decisions", hours, pl.Schema({"event_id": pl.String, "arm": pl.String}))
    return sum(usage.of.get(arm, 0.0) for arm in frame.unique("event_id")["arm"])


def used(usage: Usage, rows: pl.DataFrame) -> float:
    """What decisions used in all: a spend by what was shown, a share by the probability of showing it, which has the
    same mean and varies less."""
    if usage.budget:
        return float(sum(usage.of.get(arm, 0.0) for arm in rows["arm"]))
    pairs = rows.select("arms", "pmf").iter_rows()
    return float(sum(usage.of.get(arm, 0.0) * p for arms, pmf in pairs for arm, p in zip(arms, pmf, strict=True)))


def _controller(usage: Usage, reward: float) -> Controller:
    """Steps in units of reward for a unit of usage: of a spend, for the cost of its dearest arm."""
    unit = reward / float(np.max(np.abs([*usage.of.values()] or [1.0])))
    return Controller(step=SHARE * unit, most=MOST * unit, largest_move=SHARE * unit)


def _mean_excess(usage: Usage, hours: Mapping[str, pl.DataFrame], hour: str) -> float:
    """Usage above the limit, in decisions of a mean hour."""
    rows = hours[hour]
    mean = float(np.mean([len(each) for each in hours.values()]))
    return (used(usage, rows) - usage.limit * len(rows)) / max(mean, 1.0)


def _day_excess(usage: Usage, hours: Mapping[str, pl.DataFrame], hour: str, now: datetime) -> float | None:
    """That of a day's budget; None for an hour of another day, whose budget is over."""
    midnight = to_us(now.replace(hour=0, minute=0, second=0, microsecond=0))
    today = {
        (hour_start(name) - midnight) // HOUR: rows for name, rows in hours.items() if hour_start(name) >= midnight
    }
    place = (hour_start(hour) - midnight) // HOUR
    begun = {at: rows for at, rows in today.items() if at < now.hour}
    if place not in begun:
        return None
    requests, spent = np.full(HOURS, np.nan), np.full(HOURS, np.nan)
    for at, rows in begun.items():
        requests[at], spent[at] = len(rows), used(usage, rows)
    plan = DayPlan(budget=usage.budget, requests=_usual(hours, midnight))
    return day_excess(plan, DaySoFar(requests=requests, spent=spent, now=now.hour), place)


def _usual(hours: Mapping[str, pl.DataFrame], midnight: int) -> F64:
    """(24,) requests of a usual day's hours: the median of the days before; where no day has an hour, the mean of all
    hours that there are."""
    table = np.full((PAST.days, HOURS), np.nan)
    for name, rows in hours.items():
        day, at = divmod(hour_start(name) - (midnight - PAST.days * 24 * HOUR), 24 * HOUR)
        if 0 <= day < PAST.days:
            table[day, at // HOUR] = len(rows)
    mean = np.mean([len(rows) for rows in hours.values()]) if hours else 1.0
    known = np.isfinite(table).any(axis=0)
    usual = np.full(HOURS, float(mean))
    usual[known] = np.nanmedian(table[:, known], axis=0)
    return np.maximum(usual, 0.5)


def look(w: Workspace, *, now: datetime) -> str:
    """What `move` has done, in words; "" where there is nothing to move. Never raises for what is in the store: the
    prices that hold go on, and the log says why."""
    try:
        found = move(w, now=now)
    except (ValueError, KeyError, OSError, StoreError) as error:
        log.warning("the prices were not moved: %s", error)
        return f"prices not moved: {type(error).__name__}: {error}"[:400]
    if found is None or not found.multipliers.version:
        return ""
    stops = f", stopped today: {', '.join(found.multipliers.stopped)}" if found.multipliers.stopped else ""
    return f"prices at version {found.multipliers.version}, moved by {len(found.hours)} hours{stops}"
