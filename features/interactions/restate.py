"""What changed after it was joined: joining those hours again, and naming who had used the older version.

`restate` looks at what reached the log since its last call (log/index/receipts.py; what it has acted on it deletes),
finds the hours that this changes, also through rewards of decisions long ago, and joins just these again.

A verdict (`verdicts/<key>.json`) names the features it was judged on; their `meta.json` names the version of every hour
they were made from, under `partitions`. So `restatements` can say which verdicts an hour's new version leaves behind.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

import orjson

from croupier.features.interactions.join import join_hours
from croupier.features.interactions.reward_columns import in_reach_columns
from croupier.features.interactions.versions import Version
from croupier.features.log.index import receipts
from croupier.features.log.index.ledger import LogLedger
from croupier.features.log.index.lookup import decided, rewards_about
from croupier.features.log.shipped import EVENT, ShippedLog, neighbours, open_log
from croupier.features.log.spool_rows import KINDS
from croupier.features.reward import window_us
from croupier.features.settings import JOIN_ROWS
from croupier.features.spec import RewardSpec
from croupier.features.store import layout
from croupier.features.store.partitions import log_objects, versions, versions_between, versions_of
from croupier.features.store.storage import Conflict, Store
from croupier.features.utc import HOUR, hour_name, hour_start, to_us

ROWS_CHANGED = {"rows_added", "rows_removed", "rewards_changed"}  # the rest of `changed` is the account alone


def restate(store: Store, spec: RewardSpec, *, now: datetime, most: int = JOIN_ROWS) -> list[str]:
    """Joins again every hour that was joined before and that new events, or time, have changed; `most`: see join_hours.
    Returns these hours.

    Safe to repeat and to run twice at once; raises LogRewritten (call again). An hour that was never joined is left to
    the run of its own interval."""
    ledger = LogLedger.read(store)
    seen = receipts.unseen(store)
    with open_log(store) as log:
        new = _unseen_by(store, ledger) if ledger.unindexed is None else receipts.objects(store, seen)
        touched = {layout.hour_of(key) for keys in new.values() for key in keys}
        touched |= _rewarded(log, log.holding("rewards", new["rewards"]))
        touched |= _awaited(log, log.holding("decisions", new["decisions"]))
        # windows that were open at the last call may have closed since
        open_since = ledger.now - window_us(spec) - HOUR
        recent = versions_between(store, open_since, to_us(now))
        touched |= {hour for hour in recent if hour_start(hour) >= open_since and _immature(store, recent[hour][-1])}
        joined = {hour: keys for hour in sorted(touched) if (keys := recent.get(hour) or versions_of(store, hour))}
        join_hours(log, list(joined), spec, now=now, most=most)
    with suppress(Conflict):  # another call was quicker; what it has not seen, the next one will
        ledger.write(store, now=to_us(now), new=new)
        for key in seen:
            store.delete(key)
    return [hour for hour in joined if versions_of(store, hour) != joined[hour]]


def _unseen_by(store: Store, ledger: LogLedger) -> dict[str, list[str]]:
    """The objects of a log that are not in a ledger of before November 2026, which named each that was seen, or that
    nobody has looked at yet: this once the whole log is listed."""
    known = set(ledger.seen)
    every = ((kind, keys) for kind in KINDS for keys in log_objects(store, kind).values())
    found: dict[str, list[str]] = {kind: [] for kind in KINDS}
    for kind, keys in every:
        found[kind] += [key for key in keys if key not in known]
    return found


def _rewarded(log: ShippedLog, keys: list[str]) -> set[str]:
    """The hours of the decisions that these reward objects are about."""
    left = log.read_objects(keys, EVENT).with_row_index()
    if left.is_empty():
        return set()
    found = set()
    for some in decided(log, left):
        mine = left.join(some, on="event_id").filter(in_reach_columns())
        found |= {hour_name(at) for at in (mine["decided_at"] // HOUR * HOUR).unique()}
        left = left.join(mine, on="index", how="anti")
        if left.is_empty():
            break
    return found


def _awaited(log: ShippedLog, keys: list[str]) -> set[str]:
    """The hours in which rewards of these decision objects were counted as orphans, before the decisions arrived."""
    made = log.read_objects(keys, EVENT)
    found = set()
    for hours in neighbours(sorted({layout.hour_of(key) for key in keys})):
        came = rewards_about(log, hours, made).join(made.select("event_id", decided_at="at"), on="event_id")
        times = came.filter(in_reach_columns())["at"]
        found |= {hour_name(at) for at in (times // HOUR * HOUR).unique()}
    return found


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
    for keys in versions(store).values():
        for key in keys[1:]:
            version = Version.load(store, key)
            readers = (name for name, hours in used if 0 < hours.get(version.hour, 0) < version.version)
            found.append(Restatement(version, tuple(readers) if ROWS_CHANGED & set(version.changed) else ()))
    return found


def _verdicts(store: Store) -> Iterator[tuple[str, dict[str, int]]]:
    """(verdict, hour → version it was made from)."""
    for key in store.list(layout.VERDICTS):
        features = orjson.loads(store.get(key)).get("features", "")
        try:
            meta = orjson.loads(store.get(layout.features(features, layout.META)))
        except KeyError:
            continue  # the features of an old verdict may have been deleted by retention
        yield layout.verdict_name(key), meta.get("partitions", {})
