"""What was spent of a day's budgets so far, by the shipped log: a sum an hour, kept in the store.

constraints/spent.json   {"of": digest of the costs, "hours": {"2026-11-29T07": {"objects": …, "requests": n,
                          "spools": [id], "spent": {NAME: sum}}}}

An hour is read again only where its objects are others than those that its sum was made of: so a look reads the hour
that is going on, and lists those of the day. An event that several hosts have in one hour counts once.
"""

import hashlib
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
import polars as pl

from croupier.features.log.shipped import ShippedLog, open_log
from croupier.features.store import layout
from croupier.features.store.log_layout import rows_of
from croupier.features.store.storage import Store
from croupier.features.utc import day_start, to_us
from croupier.models.constraints.long_run import Usage

READ = pl.Schema({"event_id": pl.String, "at": pl.Int64, "release": pl.Int64, "arm": pl.String,
                  "pass_probability": pl.Float64})  # fmt: skip
ROUNDING = 1e-9  # of a budget: what sums of costs may be past it


@dataclass(frozen=True, kw_only=True)
class SpentToday:
    """What the log of a day says by now: `spent` by constraint, `requests` by hour, and how many `hosts` it is of."""

    spent: Mapping[str, float]
    requests: Mapping[str, float]
    hosts: int


def spent_on(store: Store, spends: Mapping[str, Usage], now: datetime, *, keep: bool = False) -> SpentToday:
    """What decisions of `now`'s UTC day cost by then, joined or not. Rows of a log that was thinned at its cap stand
    for those that were not kept. `keep`: sums are kept for the next look."""
    known, of = _known(store), _digest(sorted((name, sorted(usage.of.items())) for name, usage in spends.items()))
    hours: dict[str, Any] = known["hours"] if known.get("of") == of else {}
    found: dict[str, Any] = {}
    with open_log(store) as shipped:
        for hour in shipped.hours("decisions", day_start(to_us(now)), to_us(now)):
            objects = _digest(shipped.keys("decisions", hour))
            same = hours.get(hour, {}).get("objects") == objects and "spools" in hours[hour]
            found[hour] = hours[hour] if same else {"objects": objects, **_sums(shipped, hour, spends)}
    if keep and found != hours:
        store.put(layout.SPENT, orjson.dumps({"of": of, "hours": found}))
    return SpentToday(
        spent={name: math.fsum(each["spent"][name] for each in found.values()) for name in spends},
        requests={hour: each["requests"] for hour, each in found.items()},
        hosts=max(len({spool for each in found.values() for spool in each["spools"]}), 1),
    )


@dataclass(frozen=True, kw_only=True)
class Overrun:
    """By how much more than the budget each UTC day has cost that cost more ("2026-11-29": 3.5), and how many
    `decisions` cost something after it was gone, although their release had the constraint. A day of a log that was
    thinned has an estimate of its cost, which calls no decision broken."""

    days: Mapping[str, float]
    decisions: int


def overrun(rows: pl.DataFrame, usage: Usage, having: Collection[int]) -> Overrun:
    """What decisions, of all columns of READ, cost beyond the days' budgets; `having`: the releases with the
    constraint. An event that several hosts have counts once."""
    cost = pl.col("arm").replace_strict(dict(usage.of), default=0.0, return_dtype=pl.Float64)
    day = pl.from_epoch("at", time_unit="us").dt.strftime("%Y-%m-%d")
    each = (
        rows.unique("event_id", keep="first")
        .sort("at", "event_id")
        .with_columns(day=day, cost=cost / pl.col("pass_probability"))
    )
    so_far = pl.col("cost").cum_sum().over("day")
    beyond = each.with_columns(so_far=so_far, whole=(pl.col("pass_probability") == 1).all().over("day")).filter(
        pl.col("so_far") > usage.budget * (1 + ROUNDING), pl.col("cost") > 0
    )
    last = beyond.group_by("day").agg(pl.col("so_far").max() - usage.budget).sort("day")
    broke = beyond.filter(pl.col("whole"), pl.col("release").is_in([*having]))
    return Overrun(days=dict(last.iter_rows()), decisions=len(broke))


def decided_on(store: Store, now: datetime) -> pl.DataFrame:
    """The decisions (READ) of `now`'s UTC day by then, joined or not."""
    with open_log(store) as shipped:
        hours = shipped.hours("decisions", day_start(to_us(now)), to_us(now))
        return shipped.read("decisions", hours, READ) if hours else pl.DataFrame(schema=READ)


def _sums(shipped: ShippedLog, hour: str, spends: Mapping[str, Usage]) -> dict[str, Any]:
    """What an hour's decisions cost, how many there are, and of which spools."""
    rows = shipped.read("decisions", [hour], READ).unique("event_id", keep="first", maintain_order=True)
    shown = dict(rows.group_by("arm").agg((1.0 / pl.col("pass_probability")).sum()).sort("arm").iter_rows())
    ranges = [rows_of(key) for key in shipped.keys("decisions", hour)]
    return {
        "requests": math.fsum(shown.values()),
        "spools": sorted({each.spool if each else "" for each in ranges}),
        "spent": {name: math.fsum(of.of.get(arm, 0.0) * n for arm, n in shown.items()) for name, of in spends.items()},
    }


def _known(store: Store) -> dict[str, Any]:
    """The sums that were kept; none where they cannot be read, for they can be made again."""
    try:
        found = orjson.loads(store.get(layout.SPENT))
    except (KeyError, orjson.JSONDecodeError):
        return {}
    return found if isinstance(found, dict) and isinstance(found.get("hours"), dict) else {}


def _digest(of: Sequence[Any]) -> str:
    return hashlib.sha256(orjson.dumps(of)).hexdigest()[:16]
