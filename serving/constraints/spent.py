"""What was spent of a day's budgets so far, by the shipped log: a sum an hour, kept in the store.

constraints/spent.json   {"of": digest of the costs, "hours": {"2026-11-29T07": {"objects": …, "spent": {NAME: sum}}}}

An hour is read again only where its objects are others than those that its sum was made of: so a look reads the hour
that is going on, and lists those of the day. An event that several hosts have in one hour counts once.
"""

import hashlib
import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson
import polars as pl

from croupier.features.log.shipped import ShippedLog, open_log
from croupier.features.store import layout
from croupier.features.store.storage import Store
from croupier.features.utc import day_start, to_us
from croupier.models.constraints.long_run import Usage

READ = pl.Schema({"event_id": pl.String, "arm": pl.String, "pass_probability": pl.Float64})


def spent_on(store: Store, spends: Mapping[str, Usage], now: datetime, *, keep: bool = False) -> dict[str, float]:
    """What decisions of `now`'s UTC day cost by then, by constraint, joined or not. Rows of a log that was thinned at
    its cap stand for those that were not kept. `keep`: sums are kept for the next look."""
    known, of = _known(store), _digest(sorted((name, sorted(usage.of.items())) for name, usage in spends.items()))
    hours: dict[str, Any] = known["hours"] if known.get("of") == of else {}
    found: dict[str, Any] = {}
    with open_log(store) as shipped:
        for hour in shipped.hours("decisions", day_start(to_us(now)), to_us(now)):
            objects = _digest(shipped.keys("decisions", hour))
            same = hours.get(hour, {}).get("objects") == objects
            found[hour] = hours[hour] if same else {"objects": objects, "spent": _sums(shipped, hour, spends)}
    if keep and found != hours:
        store.put(layout.SPENT, orjson.dumps({"of": of, "hours": found}))
    return {name: math.fsum(each["spent"][name] for each in found.values()) for name in spends}


def _sums(shipped: ShippedLog, hour: str, spends: Mapping[str, Usage]) -> dict[str, float]:
    """What an hour's decisions cost."""
    rows = shipped.read("decisions", [hour], READ).unique("event_id", keep="first", maintain_order=True)
    shown = dict(rows.group_by("arm").agg((1.0 / pl.col("pass_probability")).sum()).sort("arm").iter_rows())
    return {name: math.fsum(usage.of.get(arm, 0.0) * n for arm, n in shown.items()) for name, usage in spends.items()}


def _known(store: Store) -> dict[str, Any]:
    """The sums that were kept; none where they cannot be read, for they can be made again."""
    try:
        found = orjson.loads(store.get(layout.SPENT))
    except (KeyError, orjson.JSONDecodeError):
        return {}
    return found if isinstance(found, dict) and isinstance(found.get("hours"), dict) else {}


def _digest(of: Sequence[Any]) -> str:
    return hashlib.sha256(orjson.dumps(of)).hexdigest()[:16]
