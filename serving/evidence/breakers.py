"""The candidate's breaker of every host: a host whose breaker opens says so in the store, and the controller reads it.

    <home>/breaker.json ─▶ the host's follower ─▶ rollout/breakers/<host>.json ─▶ the controller's next look

Each host has one object, which its next breaker replaces. What one says of another release or stage has been judged.
"""

import hashlib
import json
from pathlib import Path

from croupier.features.store import layout
from croupier.features.store.storage import Store
from croupier.serving.decide.candidate_breaker import opened_breaker
from croupier.serving.release.rollout_state import RolloutState


class BreakerReport:
    """What the host of this name says of its own breaker, in the app whose folder here is `home`."""

    def __init__(self, home: Path, host: str) -> None:
        self._home, self._host = home, host
        name = hashlib.sha256(host.encode()).hexdigest()[:16]  # that of a host may have any characters
        self._key = layout.beside(layout.BREAKERS, f"{name}{layout.JSON}")
        self._said: dict[str, object] = {}

    def look(self, store: Store, state: RolloutState | None) -> None:
        """Says, once, that the breaker is open at this state. Raises StoreError; the next look says it then."""
        why = opened_breaker(self._home, state) if state is not None else ""
        if state is None or not why:
            return
        # json: what a policy raised may hold what is no Unicode, which orjson refuses
        row = {"release": state.release, "stage": state.stage, "host": self._host, "reason": why}
        if row != self._said:
            store.put(self._key, json.dumps(row).encode())
            self._said = row


def opened(store: Store, home: Path, state: RolloutState) -> str:
    """Why the candidate's breaker is open at this stage, here or on any host that said so; "" where none is. Raises
    ValueError where it cannot be read what a host said."""
    if here := opened_breaker(home, state):
        return here
    for key in store.list(layout.BREAKERS):
        raw, version = store.read(key)
        if version is not None and (why := _told(key, raw, state)):
            return why
    return ""


def _told(key: str, raw: bytes, state: RolloutState) -> str:
    try:
        row = json.loads(raw)
        same = row["release"] in state.releases and row["stage"] == state.stage
        return f"{row['reason']} (on {row['host']})" if same else ""
    except (ValueError, KeyError, TypeError) as error:
        found = f"{raw[:60]!r} ({type(error).__name__}: {error})"
        raise ValueError(
            f"{key}: found {found}, expected what a host says of its breaker; delete it, and the host says it again"
        ) from None
