"""Silences: for a time, what one watch finds does not count. It is still found, and shown with who silenced it and why.

One object of the store, `silences/health.json`, has every silence in the order in which they were made, so that all
hosts, commands and DAGs of an app honour them. Of several about one watch the last one counts. It ends by itself.
"""

from dataclasses import asdict, dataclass, replace
from typing import Any

import orjson

from croupier.features.store import layout
from croupier.features.store.storage import Conflict, Store
from croupier.models.health.symptom import WATCHES

KEPT = 200  # silences that are remembered, the last ones


@dataclass(frozen=True, kw_only=True)
class Silence:
    """`watch` does not count from `since` until `until` (UTC µs); `by` said so, and `why`."""

    watch: str
    since: int
    until: int
    by: str
    why: str = ""

    def __post_init__(self) -> None:
        if self.watch not in WATCHES:
            raise ValueError(f"watch: found {self.watch!r}, expected one of {', '.join(WATCHES)}")
        if self.until < self.since:
            raise ValueError(f"silence of {self.watch}: found an end before its beginning, expected a later one")

    def to_dict(self) -> dict[str, Any]:
        """The silence as JSON."""
        return asdict(self)


def every(store: Store) -> list[Silence]:
    """Returns the silences that are remembered, the oldest first, those that are over too."""
    return _read(store)[0]


def in_force(store: Store, now: int) -> dict[str, Silence]:
    """Returns the silences that hold at `now` (UTC µs), by watch."""
    last = {silence.watch: silence for silence in every(store)}
    return {watch: silence for watch, silence in last.items() if silence.since <= now < silence.until}


def begin(store: Store, silence: Silence) -> Silence:
    """Keeps a silence, in the place of an earlier one of its watch; returns it."""
    while True:
        found, version = _read(store)
        try:
            _write(store, [*found, silence], version)
        except Conflict:
            continue
        return silence


def end(store: Store, watch: str, *, now: int) -> Silence:
    """Ends the silence of a watch at `now`; returns it as it is then. Raises ValueError where none holds."""
    while True:
        found, version = _read(store)
        at = max((i for i, silence in enumerate(found) if silence.watch == watch), default=-1)
        if at < 0 or not found[at].since <= now < found[at].until:
            held = ", ".join(in_force(store, now)) or "none"
            raise ValueError(f"silence: found none of {watch!r} in force, expected one of those that are: {held}")
        ended = replace(found[at], until=now)
        try:
            _write(store, [*found[:at], ended, *found[at + 1 :]], version)
        except Conflict:
            continue
        return ended


def _read(store: Store) -> tuple[list[Silence], str | None]:
    raw, version = store.read(layout.SILENCES)
    try:
        return [Silence(**row) for row in orjson.loads(raw)] if version is not None else [], version
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"{layout.SILENCES}: found {raw[:60]!r}, expected what `health silence` wrote ({error})"
        ) from None


def _write(store: Store, silences: list[Silence], version: str | None) -> None:
    store.swap(layout.SILENCES, orjson.dumps([silence.to_dict() for silence in silences[-KEPT:]]), version)
