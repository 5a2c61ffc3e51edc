"""Who moves the prices of long-run constraints: a step of every turn, and of the watch, from the joined log.

Each hour moves those of long-run means once, when it has been joined, however late; an hour that is missing moves
nothing (models/constraints/pacing.py). Those of opportunities are solved when an hour has been joined, on requests of
the last days (models/constraints/opportunity_price.py). The price of a day's budget is solved at
each look, for what the shipped log, joined or not, says that is left of the day (models/constraints/day_price.py). It
has a stop beside its price: each host leaves out arms that cost something once it has spent its part of the budget by
its own account (serving/spending), and all hosts do where the log says that it is gone, until midnight UTC.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
import polars as pl

from croupier.features.interactions.versions import Version, fetched, newest
from croupier.features.log.shipped import DECISION, read_rows
from croupier.features.store.storage import Store, StoreError
from croupier.features.utc import HOUR, day_start, hour_start, to_us
from croupier.features.workspace import Workspace
from croupier.models.constraints import kept_multipliers
from croupier.models.constraints.long_run import Usage
from croupier.models.constraints.multipliers import Multipliers
from croupier.models.constraints.pacing import Controller
from croupier.models.exploration import PolicyFailed
from croupier.serving.constraints import conservative, opportunities
from croupier.serving.constraints.day_prices import PAST, solved
from croupier.serving.constraints.measured import counted, mean, of_segment, used
from croupier.serving.constraints.recent_requests import recent_requests
from croupier.serving.constraints.spent import spent_on
from croupier.serving.release import bundle_store
from croupier.serving.release.safeguards import Safeguards

log = logging.getLogger(__name__)
SHARED = 0.02  # of a budget: by how much what is left must have changed before hosts that share it are told
SHARE = 0.02  # of the reward's range: the largest move of a price in an hour, for a unit of usage
MOST_ASKED = 20_000  # rows whose segment is looked at to say which share of decisions it has
MOST = 1.0  # of the reward's range: the highest price of a unit of usage
OF_DECISIONS = ("at", "context", "arm", "arms", "pmf", "pass_probability")
LOOKED = pl.Schema({name: DECISION[name] for name in OF_DECISIONS} | {"reward": pl.Float64})


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
    fresh = [hour for hour in joined if hour not in kept.hours] if kept.hours else [*joined][-1:]
    prices = {name: kept.multipliers.prices.get(name, 0.0) for name in usages}
    if fresh:
        low, high = w.spec.reward.range
        prices = _after(w, prices, usages, fresh, joined=joined, now=now)
        edges = {"step": SHARE * (high - low), "most": MOST * (high - low)}
        prices = opportunities.solved(w, prices, usages, now=now, **edges)
    counts = {hour: float(version.rows) for hour, version in joined.items()}
    today, prices = _of_days(w, prices, usages, counts=counts, now=now)
    new = replace(today, version=kept.multipliers.version + 1, prices=prices, allowance=kept.multipliers.allowance)
    new = replace(new, made_from=(fresh[0], fresh[-1]) if fresh else kept.multipliers.made_from)
    if not fresh and _same(new, kept.multipliers, usages):
        return Moved(multipliers=kept.multipliers, hours=())
    seen = sorted({*joined, *fresh})
    return Moved(multipliers=new, hours=tuple(fresh)) if kept_multipliers.keep(w.store, kept, new, seen) else None


def _of_days(
    w: Workspace,
    prices: Mapping[str, float],
    usages: Mapping[str, Usage],
    *,
    counts: Mapping[str, float],
    now: datetime,
) -> tuple[Multipliers, dict[str, float]]:
    """What holds for today by the shipped log: stops, what is left and who shares it; and the prices, those of budgets
    solved anew."""
    spends = {name: usage for name, usage in usages.items() if usage.budget}
    if not spends:
        return kept_multipliers.FREE, dict(prices)
    today = spent_on(w.store, spends, now, keep=True)
    state = Multipliers(
        version=0,
        prices={},
        stopped=tuple(name for name, usage in spends.items() if today.spent[name] >= usage.budget),
        day=f"{now:%Y-%m-%d}",
        left={name: max(usage.budget - today.spent[name], 0.0) for name, usage in spends.items()},
        hosts=today.hosts,
    )
    sample, (low, high) = recent_requests(w, usages, now), w.spec.reward.range
    if sample is None:
        return state, dict(prices)
    return state, solved(prices, sample, today, counts=counts, now=now, reward=high - low)


def _same(new: Multipliers, old: Multipliers, usages: Mapping[str, Usage]) -> bool:
    """True if the old multipliers say all that the new ones do: what is left, too, where hosts share it."""
    if not old.version and not new.day:
        return True  # no budget, and no hour has moved anything yet
    if (new.prices, new.stopped, new.day, new.hosts) != (old.prices, old.stopped, old.day, old.hosts):
        return False
    moved = max([abs(new.left[name] - old.left.get(name, 0.0)) / usages[name].budget for name in new.left], default=0.0)
    return new.hosts == 1 or moved < SHARED


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
    """The prices of long-run means after these hours. Rows are read of these, of today and of yesterday; of the days
    before, how many there were."""
    today = [hour for hour in joined if hour_start(hour) >= day_start(to_us(now)) - 24 * HOUR]
    hours = _read(w.store, [joined[hour] for hour in sorted({*fresh, *today})])
    counts = {hour: float(version.rows) for hour, version in joined.items()}
    known = pl.concat([*hours.values()])
    stepped = {name: usage for name, usage in usages.items() if not usage.budget and usage.by != "opportunities"}
    shares = {name: _share(usage, known) for name, usage in stepped.items()}
    found, (low, high) = dict(prices), w.spec.reward.range
    for hour in fresh:
        for name, usage in stepped.items():
            excess = _mean_excess(usage, hours[hour], counts, shares[name])
            found[name] = _controller(usage, high - low).move(found[name], excess)
    return found


def _share(usage: Usage, rows: pl.DataFrame) -> float:
    """What a constraint's segment counts for, a decision; in shares from at most MOST_ASKED of these rows."""
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


def _controller(usage: Usage, reward: float) -> Controller:
    """Steps in units of reward for a unit of usage."""
    unit = reward / float(np.max(np.abs([*usage.of.values()] or [1.0])))
    return Controller(step=SHARE * unit, most=MOST * unit, largest_move=SHARE * unit)


def _mean_excess(usage: Usage, rows: pl.DataFrame, counts: Mapping[str, float], share: float = 1.0) -> float:
    """Usage above the limit, by what a mean hour counts for; of a segment, by its `share` of such an hour."""
    mine, limit = of_segment(usage.segment, rows), usage.limit
    if usage.around is not None:
        limit += mean(usage, of_segment(usage.around, rows)) or 0.0
    return (used(usage, mine) - limit * counted(usage, mine)) / max(share * float(np.mean([*counts.values()])), 1.0)


def look(w: Workspace, *, now: datetime) -> str:
    """What `move` has done, in words; "" where there is nothing to move. Never raises for what is in the store: the
    prices that hold go on, and the log says why."""
    try:
        found = move(w, now=now)
    except (ValueError, KeyError, OSError, StoreError, PolicyFailed) as error:
        log.warning("the prices were not moved: %s", error)
        return f"prices not moved: {type(error).__name__}: {error}"[:400]
    more = conservative.look(w, now=now)
    if found is None or not found.multipliers.version:
        return more
    stops = f", stopped today: {', '.join(found.multipliers.stopped)}" if found.multipliers.stopped else ""
    said = f"prices at version {found.multipliers.version}, moved by {len(found.hours)} hours{stops}"
    return "; ".join(filter(None, (said, more)))
