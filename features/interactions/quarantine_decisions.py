"""What a person does about an hour's quarantine, on the record: look, release, drop. The next build then goes on."""

from collections import Counter
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

import polars as pl

from croupier.features.interactions import hours, judged_hours, quarantine
from croupier.features.interactions.quarantine import DROPPED, HELD, RELEASED, STOPPED
from croupier.features.store import layout
from croupier.features.store.partitions import by_hour
from croupier.features.store.storage import Conflict, Store
from croupier.features.utc import hour_start

RELEASABLE = frozenset({"reward_in_range", "role_known", "pmf_sums_to_one", "propensity_is_pmf_at_arm"})  # others: no
# estimate can use such a row


@dataclass(frozen=True, kw_only=True)
class Entry:
    """An hour with quarantined rows. `waits`: its other rows wait too; `last`: what was done last, by whom and why."""

    hour: str
    rows: dict[str, int]
    rules: dict[str, int]
    examples: tuple[str, ...]
    waits: bool
    last: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """The entry as JSON."""
        return asdict(self)


def entries(store: Store) -> list[Entry]:
    """Every hour with quarantined rows, oldest first."""
    found = (_entry(store, hour) for hour in by_hour(store.list(layout.QUARANTINE_HOURS)))
    return [entry for entry in found if entry.rows]  # none: a unit was forgotten


def _entry(store: Store, hour: str) -> Entry:
    frame, _ = quarantine.rows(store, hour)
    rules = Counter(rule for names in frame["rule"] for rule in names.split(","))
    done = quarantine.history(store, hour)
    return Entry(
        hour=hour,
        rows=dict(Counter(frame["state"])),
        rules=dict(rules),
        examples=tuple(frame["event_id"][:3]),
        waits=STOPPED in frame["state"].to_list(),
        last=done[-1] if done else {},
    )


def release(store: Store, hour: str, *, by: str, reason: str, now: int) -> int:
    """Takes an hour's rows in again; returns how many changed. The next build joins and validates the hour anew.

    Raises ValueError where there are none, no reason is given, or some broke a rule that no estimate can do without."""
    frame, _ = _found(store, hour)
    broken = Counter(rule for names in frame["rule"] for rule in names.split(",") if rule not in RELEASABLE)
    if broken:
        expected = f"rows that broke {', '.join(sorted(RELEASABLE))} alone; no estimate can use these: drop them"
        raise ValueError(f"quarantine of {hour}: found {dict(broken)}, expected {expected}")
    return _decide(store, hour, RELEASED, by=by, reason=reason, now=now)


def drop(store: Store, hour: str, *, by: str, reason: str, now: int) -> int:
    """Leaves an hour's rows out for good; the others go on. Otherwise like `release`."""
    return _decide(store, hour, DROPPED, by=by, reason=reason, now=now)


def _decide(store: Store, hour: str, state: str, *, by: str, reason: str, now: int) -> int:
    if not reason.strip():
        raise ValueError(f"--reason: found {reason!r}, expected why the rows of {hour} may be {state}: it is kept")
    while True:
        frame, version = _found(store, hour)
        before = Counter(of for of in frame["state"] if of != state)
        with suppress(Conflict):
            quarantine.write(store, hour, frame.with_columns(state=pl.lit(state)), version)
            break
    if before:
        quarantine.remember(
            store,
            hour,
            {
                "at": now,
                "by": by,
                "action": state,
                "rows": before.total(),
                "before": dict(before),
                "reason": reason,
                "verdict": hours.verdict(store, hour),
            },
        )
    if state == RELEASED or set(before) != {HELD}:  # else they were out, and stay out
        judged_hours.reopen(store, hour)
        hours.reopen(store, hour)  # last, and again when the command is repeated
    return before.total()


def _found(store: Store, hour: str) -> tuple[pl.DataFrame, str | None]:
    try:
        hour_start(hour)
    except ValueError:
        raise ValueError(f"--hour: found {hour!r}, expected an hour of UTC such as 2026-11-01T07") from None
    frame, version = quarantine.rows(store, hour)
    if frame.is_empty():
        there = ", ".join(by_hour(store.list(layout.QUARANTINE_HOURS))) or "none: nothing is in quarantine"
        raise ValueError(f"--hour: found no row of {hour} in quarantine, expected one of these hours: {there}")
    return frame, version
