"""The multipliers in the store: those of now, changed by compare-and-swap, and each version for who replays.

constraints/multipliers.json      {"multipliers": …, "hours": hours that they were moved by, lately}
constraints/multipliers/000012.json   a version that was in force before, written once
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import orjson

from croupier.features.store import layout
from croupier.features.store.storage import AlreadyExists, Conflict, Store
from croupier.models.constraints.multipliers import Multipliers

FREE = Multipliers(version=0, prices={})  # before any: nothing has a price


def key_of(version: int) -> str:
    """The store's key of one version."""
    return f"{layout.MULTIPLIERS_KEPT}{version:06d}{layout.JSON}"


@dataclass(frozen=True, kw_only=True)
class KeptMultipliers:
    """The multipliers, the `hours` that moved them, of the last days, and the store's `token` of this state."""

    multipliers: Multipliers = FREE
    hours: Sequence[str] = ()
    token: str | None = None


def now(store: Store) -> KeptMultipliers:
    """Those in force; FREE before there are any. Raises ValueError where the object is none."""
    raw, token = store.read(layout.MULTIPLIERS)
    if token is None:
        return KeptMultipliers()
    body = orjson.loads(raw)
    found = Multipliers.from_json(orjson.dumps(body["multipliers"]).decode())
    return KeptMultipliers(multipliers=found, hours=tuple(body["hours"]), token=token)


def of_version(store: Store, version: int) -> Multipliers:
    """One version. Raises KeyError where there is none."""
    if version in (0, (there := now(store).multipliers).version):
        return FREE if version == 0 else there
    return Multipliers.from_json(store.get(key_of(version)).decode())


def keep(store: Store, before: KeptMultipliers, new: Multipliers, hours: Sequence[str]) -> bool:
    """Makes `new` those in force, if `before` still are, and keeps the version before it; False where another
    controller was faster."""
    if before.multipliers.version:  # first: a version that served can be replayed, whoever is killed in between
        with suppress(AlreadyExists):
            store.create(key_of(before.multipliers.version), before.multipliers.to_json().encode())
    body = {"multipliers": orjson.loads(new.to_json()), "hours": list(hours)}
    try:
        store.swap(layout.MULTIPLIERS, orjson.dumps(body), before.token)
    except Conflict:
        return False
    return True
