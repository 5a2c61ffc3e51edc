"""The hourly half of the loop: which hours are due, and what is known of each.

An hour is *mature* when the reward window of its last decision has closed. A mature hour is joined once, validated
once, and again whenever late events restate it. What the validation said is kept beside the log, one small object a
version:

    quality/hour=2026-11-01T07/v0002.json    {"passed": true, "rows": 812, "page": "quality/…/index.html", "failed": []}

An hour that failed its validation keeps no other hour back; it is left out of training until a restated version passes,
or a person decides about the rows that broke a rule (quarantine_decisions.py).
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

import orjson

from croupier.features.interactions.versions import Version, newest
from croupier.features.log.spool_rows import KINDS
from croupier.features.reward import window_us
from croupier.features.spec import AppSpec
from croupier.features.store import layout
from croupier.features.store.partitions import keys_between, log_between, versions_between, versions_of
from croupier.features.store.storage import Store
from croupier.features.utc import HOUR, hour_start, to_us


@dataclass(frozen=True, kw_only=True)
class Checked:
    """What the validation said of one version of an hour. `failed` names the critical rules it broke; this version is
    what was left when `quarantined` rows had been taken out."""

    passed: bool
    rows: int
    page: str = ""
    failed: tuple[str, ...] = ()
    quarantined: int = 0


def due(store: Store, spec: AppSpec, *, now: datetime) -> list[str]:
    """The mature hours, oldest first, whose newest version has not been validated, or that were never joined.

    At most `training.catch_up_hours` of them are returned, so that a run after an outage is bounded; the next run goes
    on. Hours older than the training window are left to a run by hand."""
    mature = to_us(now) - window_us(spec.reward)
    oldest = to_us(now - timedelta(days=spec.training.days)) // HOUR * HOUR
    logged = {hour for kind in KINDS for hour in log_between(store, kind, oldest, mature - HOUR)}
    closed = sorted(hour for hour in logged if hour_start(hour) <= mature - HOUR)
    known = versions_between(store, oldest, mature)
    judged = set(keys_between(store, layout.QUALITY, oldest, mature))
    waiting = [hour for hour in closed if _due(store, known.get(hour, []), judged)]
    return waiting[: spec.training.catch_up_hours]


def _due(store: Store, keys: list[str], judged: set[str]) -> bool:
    """True if an hour was never joined, was joined before it was mature, or has a newer version than was validated."""
    if not keys or layout.checked(keys[-1]) not in judged:
        return True
    return Version.load(store, keys[-1]).account["immature"] > 0


def record(store: Store, version: Version, checked: Checked) -> None:
    """Keeps what the validation said of this version."""
    store.put(layout.checked(version.key), orjson.dumps(asdict(checked)))


def reopen(store: Store, hour: str) -> None:
    """Takes back the verdict on the newest version of an hour, so that the next build joins and validates it anew."""
    for key in _newest_verdict(store, hour):
        store.delete(key)


def verdict(store: Store, hour: str) -> dict[str, object]:
    """What was said of the newest version of an hour; {} where nothing was."""
    for key in _newest_verdict(store, hour):
        raw, known = store.read(key)
        return dict(orjson.loads(raw)) if known is not None else {}
    return {}


def _newest_verdict(store: Store, hour: str) -> list[str]:
    return [layout.checked(key) for key in versions_of(store, hour)[-1:]]


def sound(store: Store, *, start: datetime, end: datetime) -> dict[str, Version]:
    """The newest version of each hour of [start, end) that is joined, validated and passed; in order of time."""
    return {hour: version for hour, version in _newest(store, start, end).items() if _passed(store, version)}


def refused(store: Store, *, start: datetime, end: datetime) -> list[str]:
    """The hours of [start, end) whose newest version failed its validation; in order of time."""
    judged = set(keys_between(store, layout.QUALITY, to_us(start), to_us(end)))
    newest = _newest(store, start, end)
    return [hour for hour, v in newest.items() if layout.checked(v.key) in judged and not _passed(store, v)]


def _newest(store: Store, start: datetime, end: datetime) -> Mapping[str, Version]:
    return newest(store, start=start, end=end)


def _passed(store: Store, version: Version) -> bool:
    try:
        return bool(orjson.loads(store.get(layout.checked(version.key)))["passed"])
    except KeyError:
        return False
