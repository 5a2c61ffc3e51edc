"""What changed after it was joined: joining those hours again, and naming who had used the older version.

`restate` looks at what reached the log since its last call (a small ledger in the store says what it has seen), finds
the hours that this changes, also through rewards of decisions long ago, and joins just these again.

A verdict (`verdicts/<key>.json`) names the features it was judged on; their `meta.json` names the version of every hour
they were made from, under `partitions`. So `restatements` can say which verdicts an hour's new version leaves behind.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
import polars as pl

from croupier.features.interactions.join import REACH, join_hours
from croupier.features.interactions.reward_columns import in_reach_columns
from croupier.features.interactions.versions import Version
from croupier.features.log.shipped import EVENT, Log, open_log
from croupier.features.reward import window_us
from croupier.features.spec import RewardSpec
from croupier.features.store.partitions import by_hour, hour_of
from croupier.features.store.storage import Conflict, Store
from croupier.features.utc import HOUR, hour_start, to_us

ROWS_CHANGED = {"rows_added", "rows_removed", "rewards_changed"}  # the rest of `changed` is the account alone
LEDGER = "ledger/restated.json"


def restate(store: Store, spec: RewardSpec, *, now: datetime) -> list[str]:
    """Joins again every hour that was joined before and that new events, or time, have changed. Returns these hours.

    Safe to repeat and to run twice at once; raises LogRewritten (call again). An hour that was never joined is left to
    the run of its own interval."""
    raw, version = store.read(LEDGER)
    ledger: dict[str, Any] = orjson.loads(raw) if version else {"seen": [], "now": 0}
    with open_log(store) as log:
        keys = [key for hours in log.objects.values() for found in hours.values() for key in found]
        new = sorted(set(keys) - set(ledger["seen"]))
        joined = by_hour(store.list("interactions/"), ".json")
        touched = {hour_of(key) for key in new}
        touched |= _rewarded(log, [key for key in new if key.startswith("log/rewards/")])
        touched |= _awaited(log, [key for key in new if key.startswith("log/decisions/")])
        # windows that were open at the last call may have closed since
        open_since = ledger["now"] - window_us(spec) - HOUR
        touched |= {hour for hour in joined if hour_start(hour) >= open_since and _immature(store, joined[hour][-1])}
        hours = sorted(touched & set(joined))
        join_hours(log, hours, spec, now=now)
    with suppress(Conflict):  # another call was quicker; what it has not seen, the next one will
        store.swap(LEDGER, orjson.dumps({"seen": sorted(keys), "now": to_us(now)}), version)
    return [hour for hour in hours if by_hour(store.list(f"interactions/hour={hour}/"), ".json")[hour] != joined[hour]]


def _rewarded(log: Log, keys: list[str]) -> set[str]:
    """The hours of the decisions that these reward objects are about."""
    left = log.read_objects(keys, EVENT).with_row_index()
    if left.is_empty():
        return set()
    found = set()
    first, last = _span(left["at"])
    for hour in reversed(log.hours("decisions", first - (REACH + 1) * HOUR, last + HOUR)):
        decided = log.read("decisions", [hour], EVENT).select("event_id", decided_at="at")
        mine = left.join(decided, on="event_id").filter(in_reach_columns())
        if len(mine):
            found.add(hour)
            left = left.join(mine, on="index", how="anti")
        if left.is_empty():
            break
    return found


def _awaited(log: Log, keys: list[str]) -> set[str]:
    """The hours in which rewards of these decision objects were counted as orphans, before the decisions arrived."""
    decided = log.read_objects(keys, EVENT).select("event_id", decided_at="at")
    if decided.is_empty():
        return set()
    first, last = _span(decided["decided_at"])
    hours = log.hours("rewards", first - 2 * HOUR, last + REACH * HOUR)
    rewards = {hour: log.read("rewards", [hour], EVENT) for hour in hours}
    return {hour for hour, came in rewards.items() if len(came.join(decided, on="event_id").filter(in_reach_columns()))}


def _span(times: pl.Series) -> tuple[int, int]:
    low, high = times.min(), times.max()
    assert isinstance(low, int)
    assert isinstance(high, int)
    return low, high


def _immature(store: Store, key: str) -> bool:
    return Version.load(store, key).account["immature"] > 0


@dataclass(frozen=True)
class Restatement:
    """An hour that got a new version; `used_by`: keys of the verdicts that had read other rows or rewards of it."""

    version: Version
    used_by: tuple[str, ...]


def restatements(store: Store) -> list[Restatement]:
    """Returns all restatements, by hour and version."""
    used = list(_verdicts(store))
    found = []
    for keys in by_hour(store.list("interactions/"), ".json").values():
        for key in keys[1:]:
            version = Version.load(store, key)
            readers = (name for name, hours in used if 0 < hours.get(version.hour, 0) < version.version)
            found.append(Restatement(version, tuple(readers) if ROWS_CHANGED & set(version.changed) else ()))
    return found


def _verdicts(store: Store) -> Iterator[tuple[str, dict[str, int]]]:
    """(verdict, hour → version it was made from)."""
    for key in store.list("verdicts/"):
        features = orjson.loads(store.get(key)).get("features", "")
        try:
            meta = orjson.loads(store.get(f"features/{features}/meta.json"))
        except KeyError:
            continue  # the features of an old verdict may have been deleted by retention
        yield key.removeprefix("verdicts/").removesuffix(".json"), meta.get("partitions", {})
