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
import orjson
import polars as pl

from croupier.features.batch import F64
from croupier.features.declared.segment import RequestSegment
from croupier.features.interactions.versions import Version, fetched, newest
from croupier.features.log.shipped import DECISION, read_rows
from croupier.features.store.storage import Store, StoreError
from croupier.features.utc import HOUR, day_start, hour_start, to_us
from croupier.features.workspace import Workspace
from croupier.models.constraints import kept_multipliers
from croupier.models.constraints.long_run import Usage
from croupier.models.constraints.multipliers import Multipliers
from croupier.models.constraints.pacing import HOURS, Controller, DayPlan, DaySoFar, day_excess
from croupier.serving.constraints.spent import spent_on
from croupier.serving.release import bundle_store
from croupier.serving.release.safeguards import Safeguards

log = logging.getLogger(__name__)
PAST = timedelta(days=8)  # of joined hours: what a usual day looks like
SHARE = 0.02  # of the reward's range: the largest move of a price in an hour, for a unit of usage
MOST_ASKED = 20_000  # rows whose segment is looked at to say which share of decisions it has
MOST = 1.0  # of the reward's range: the highest price of a unit of usage
LOOKED = pl.Schema({name: DECISION[name] for name in ("at", "context", "arm", "arms", "pmf", "pass_probability")})


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
    joined = ended(newest(w.store, start=now - PAST, end=now), now)
    fresh = [hour for hour in joined if hour not in kept.hours] if kept.multipliers.version else [*joined][-1:]
    prices = {name: kept.multipliers.prices.get(name, 0.0) for name in usages}
    if fresh:
        prices = _after(w, prices, usages, fresh, joined=joined, now=now)
    day, spends = f"{now:%Y-%m-%d}", {name: usage for name, usage in usages.items() if usage.budget}
    spent = spent_on(w.store, spends, now, keep=True) if spends else {}
    stopped = tuple(name for name, usage in spends.items() if spent[name] >= usage.budget)
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


def ended(found: Mapping[str, Version], now: datetime) -> dict[str, Version]:
    """The hours that are over: one that was joined while it lasted would move a price by a part of itself, once."""
    return {hour: version for hour, version in sorted(found.items()) if hour_start(hour) + HOUR <= to_us(now)}


def _after(
    w: Workspace,
    prices: Mapping[str, float],
    usages: Mapping[str, Usage],
    fresh: Sequence[str],
    *,
    joined: Mapping[str, Version],
    now: datetime,
) -> dict[str, float]:
    """The prices after these hours. Rows are read of these, of today and of yesterday; of the days before, how
    many there were."""
    today = [hour for hour in joined if hour_start(hour) >= day_start(to_us(now)) - 24 * HOUR]
    hours = _read(w.store, [joined[hour] for hour in sorted({*fresh, *today})])
    counts = {hour: float(version.rows) for hour, version in joined.items()}
    known = pl.concat([*hours.values()])
    shares = {name: _share(usage, known) for name, usage in usages.items()}
    found, (low, high) = dict(prices), w.spec.reward.range
    for hour in fresh:
        for name, usage in usages.items():
            day = _day_excess(usage, hours, counts, hour, now) if usage.budget else None
            excess = day if usage.budget else _mean_excess(usage, hours[hour], counts, shares[name])
            found[name] = _controller(usage, high - low).move(found[name], excess)
    return found


def _share(usage: Usage, rows: pl.DataFrame) -> float:
    """The share of decisions that are of a constraint's segment, from at most MOST_ASKED of these rows."""
    if usage.segment is None or not len(rows):
        return 1.0
    some = rows.gather_every(1 + len(rows) // MOST_ASKED)
    return max(len(of_segment(usage.segment, some)), 1) / len(some)


def _read(store: Store, versions: Sequence[Version]) -> dict[str, pl.DataFrame]:
    """The rows of some hours."""
    with fetched(store, [version.data for version in versions if version.rows]) as paths:
        rows = read_rows(paths, LOOKED)
    at = pl.col("at") // HOUR * HOUR
    return {version.hour: rows.filter(at == hour_start(version.hour)) for version in versions}


def declared(store: Store) -> dict[str, Usage]:
    """The long-run constraints that the current release has; none before there is one."""
    number = bundle_store.current(store)
    if number is None:
        return {}
    return Safeguards.of(bundle_store.manifest(store, number)).usages(bundle_store.arms(store, number))


def used(usage: Usage, rows: pl.DataFrame) -> float:
    """What decisions used in all: a spend by what was shown, a share by the probability of showing it, which has the
    same mean and varies less. Rows of a log that was thinned at its cap stand for those that were not kept."""
    weight = (1.0 / rows["pass_probability"]).to_list()
    if usage.budget:
        return float(sum(usage.of.get(arm, 0.0) * n for arm, n in zip(rows["arm"], weight, strict=True)))
    pairs = zip(rows["arms"].to_list(), rows["pmf"].to_list(), weight, strict=True)
    return float(
        sum(n * usage.of.get(arm, 0.0) * p for arms, pmf, n in pairs for arm, p in zip(arms, pmf, strict=True))
    )


def of_segment(segment: RequestSegment | None, rows: pl.DataFrame) -> pl.DataFrame:
    """The rows whose request is of a segment; all where there is none."""
    if segment is None or not len(rows):
        return rows
    return rows.filter(pl.Series([segment.has(orjson.loads(text)) for text in rows["context"]], dtype=pl.Boolean))


def decided(rows: pl.DataFrame) -> float:
    """How many decisions these rows stand for."""
    return float((1.0 / rows["pass_probability"]).sum())


def _controller(usage: Usage, reward: float) -> Controller:
    """Steps in units of reward for a unit of usage: of a spend, for the cost of its dearest arm."""
    unit = reward / float(np.max(np.abs([*usage.of.values()] or [1.0])))
    return Controller(step=SHARE * unit, most=MOST * unit, largest_move=SHARE * unit)


def _mean_excess(usage: Usage, rows: pl.DataFrame, counts: Mapping[str, float], share: float = 1.0) -> float:
    """Usage above the limit, in decisions of a mean hour; of a segment, in those of its `share` of such an hour."""
    mine, limit = of_segment(usage.segment, rows), usage.limit
    if usage.around is not None and len(every := of_segment(usage.around, rows)):
        limit += used(usage, every) / decided(every)
    return (used(usage, mine) - limit * decided(mine)) / max(share * float(np.mean([*counts.values()])), 1.0)


def _day_excess(
    usage: Usage, hours: Mapping[str, pl.DataFrame], counts: Mapping[str, float], hour: str, now: datetime
) -> float | None:
    """That of a day's budget; None for an hour of another day, whose budget is over."""
    begin = day_start(to_us(now))
    today = {(hour_start(name) - begin) // HOUR: rows for name, rows in hours.items() if hour_start(name) >= begin}
    place = (hour_start(hour) - begin) // HOUR
    begun = {at: rows for at, rows in today.items() if at < now.hour}
    if place not in begun:
        return None
    requests, spent = np.full(HOURS, np.nan), np.full(HOURS, np.nan)
    for at, rows in begun.items():
        requests[at], spent[at] = decided(rows), used(usage, rows)
    plan = DayPlan(budget=usage.budget, requests=_usual(counts, begin))
    return day_excess(plan, DaySoFar(requests=requests, spent=spent, now=now.hour), place)


def _usual(counts: Mapping[str, float], begin: int) -> F64:
    """(24,) requests of a usual day's hours: the median of the days before `begin` (UTC µs); where no day has an hour,
    the mean of all hours that there are."""
    table = np.full((PAST.days, HOURS), np.nan)
    for name, rows in counts.items():
        day, at = divmod(hour_start(name) - (begin - PAST.days * 24 * HOUR), 24 * HOUR)
        if 0 <= day < PAST.days:
            table[day, at // HOUR] = rows
    mean = np.mean([*counts.values()]) if counts else 1.0
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
