"""Whose a store is: an object `croupier.json` that names the app, and the fingerprint of its unit key.

Two apps over one prefix overwrote each other's partitions and releases; a host with another key wrote other units. Both
are refused when the store is opened.
"""

import orjson

from croupier.features.store import layout
from croupier.features.store.storage import AlreadyExists, Conflict, Store


class ForeignStore(ValueError):
    """The store belongs to another app, or is written with another unit key."""


def check(store: Store, *, app: str, key: str | None, claim: bool) -> None:
    """Raises ForeignStore unless the store is the app's, or nobody's. `key` is the unit key's fingerprint, None where
    no key is known; `claim`: a store that is nobody's becomes the app's."""
    for _ in range(8):
        raw, version = store.read(layout.OWNER)
        owner = _parsed(store, raw) if version is not None else {}
        if owner and owner["app"] != app:
            raise ForeignStore(
                f"store {store.url}: found the app {owner['app']!r} there, expected {app!r}: give each app a prefix of "
                f"its own (CROUPIER_STORE); where {app!r} is the same app under a new name, delete {layout.OWNER}"
            )
        if key and owner.get("unit_key") and owner["unit_key"] != key:
            raise ForeignStore(
                f"store {store.url}: found a unit key of fingerprint {key}, expected {owner['unit_key']}: copy "
                "unit.key from a host of this app, or set CROUPIER_UNIT_KEY to its key"
            )
        wanted = {"app": app, "unit_key": owner.get("unit_key") or key or ""}
        if not claim or owner == wanted:
            return
        try:
            if version is None:
                store.create(layout.OWNER, orjson.dumps(wanted))
            else:
                store.swap(layout.OWNER, orjson.dumps(wanted), version)
        except (AlreadyExists, Conflict):  # another host was faster: look again
            continue
        return


def _parsed(store: Store, raw: bytes) -> dict[str, str]:
    try:
        owner = orjson.loads(raw)
        return {"app": str(owner["app"]), "unit_key": str(owner["unit_key"])}
    except (ValueError, KeyError, TypeError):
        raise ForeignStore(
            f"store {store.url}: found {raw[:80]!r} in {layout.OWNER}, expected app and unit_key"
        ) from None
