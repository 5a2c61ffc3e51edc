"""Changes of the users that health was sure of, where the app asks for more than an alarm: what trainings read.

    changes/health.json   every change that was acted on, the oldest first: when, which segment or arm, what is done

It only grows. A training takes the last change before its rows' end and keeps what it took (models/changes.py), so that
it gives the same policy when it is done again.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import orjson

from croupier.features.spec_values import HealthSpec
from croupier.features.store import layout
from croupier.features.store.storage import Conflict, Store
from croupier.features.utc import DAY
from croupier.models.health.symptom import ACT, Symptom

ALARM, DISCOUNT, RESET = "alarm", "discount", "reset_head"  # of [health] on_change
OF_USERS = ("taste_flip", "dying_arm")  # causes after which older rows mislead


@dataclass(frozen=True, kw_only=True)
class NotedChange:
    """The users changed at `since`, which was noted at `noted` (UTC µs). `action` is DISCOUNT or RESET, `weight` what
    an older row counts then (0: nothing)."""

    since: int
    noted: int
    about: str
    cause: str
    says: str
    action: str
    weight: float

    def to_dict(self) -> dict[str, Any]:
        """The change as JSON."""
        return asdict(self)


def every(store: Store) -> list[NotedChange]:
    """Returns all changes that were acted on, the oldest first. Raises ValueError where the object is not whole."""
    return _read(store)[0]


def last(store: Store, before: int) -> NotedChange | None:
    """Returns the latest change that began before `before` (UTC µs); None where there is none."""
    return max((c for c in every(store) if c.since < before), key=lambda c: c.since, default=None)


def surest(spec: HealthSpec, symptoms: Sequence[Symptom], *, now: int) -> NotedChange | None:
    """Returns the surest change among symptoms that are acted on; None where there is none, or the app does not ask."""
    sure = [s for s in symptoms if s.level == ACT and s.cause in OF_USERS]
    if spec.on_change == ALARM or not sure:
        return None
    best = max(sure, key=lambda s: s.nats or 0.0)
    return NotedChange(
        since=best.since,
        noted=now,
        about=best.about,
        cause=best.cause,
        says=best.says,
        action=spec.on_change,
        weight=spec.discount if spec.on_change == DISCOUNT else 0.0,
    )


def note(store: Store, spec: HealthSpec, symptoms: Sequence[Symptom], *, now: int) -> list[NotedChange]:
    """Notes the surest change, if there is one and the app asks; returns what was noted. A change within a day of one
    that is known is that one: its time is an estimate."""
    change = surest(spec, symptoms, now=now)
    if change is None:
        return []
    while True:
        found, version = _read(store)
        if any(abs(known.since - change.since) <= DAY for known in found):
            return []
        try:
            store.swap(layout.CHANGES, orjson.dumps([c.to_dict() for c in (*found, change)]), version)
        except Conflict:
            continue
        return [change]


def _read(store: Store) -> tuple[list[NotedChange], str | None]:
    raw, version = store.read(layout.CHANGES)
    try:
        return [NotedChange(**row) for row in orjson.loads(raw)] if version is not None else [], version
    except (ValueError, TypeError) as error:
        raise ValueError(f"{layout.CHANGES}: found {raw[:60]!r}, expected what health noted ({error})") from None
