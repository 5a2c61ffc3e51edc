"""Where the rollout stands: one small object in the store (`rollout/state.json`), changed only by compare-and-swap,
carrying its own history. Each host mirrors it (rollout_mirror)."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson

from croupier.features.store import layout
from croupier.features.store.locks import alone
from croupier.features.store.storage import Conflict, Store
from croupier.serving.release.rollout_mirror import mirror
from croupier.serving.release.rollout_state import RolloutRefused, RolloutState


def read_state(store: Store) -> RolloutState | None:
    """The present state, or None before the first release."""
    try:
        return RolloutState.from_json(store.get(layout.ROLLOUT))
    except KeyError:
        return None


def begin(store: Store, state: RolloutState) -> RolloutState:
    """Make `state` the present one, unless that of a later release is: a new release supersedes the old cleanly, and
    the old one's history is kept under rollout/history/. Returns what is in force afterwards."""
    return succeed(store, state.release, lambda _: state)


def succeed(store: Store, release: int, make: Callable[[RolloutState | None], RolloutState]) -> RolloutState:
    """Replaces the state by `make(state before)`, which is called again when that state was changed meanwhile."""
    while True:
        raw, version = store.read(layout.ROLLOUT)
        old = RolloutState.from_json(raw) if raw else None
        if old is not None and old.release >= release:
            return old
        new = make(old)
        try:
            if old is not None:
                store.put(layout.rollout_history(old.release), raw)
            store.swap(layout.ROLLOUT, new.to_json(), version)
        except Conflict:
            continue
        return new


def change(
    store: Store, step: Callable[[RolloutState], RolloutState], *, home: Path | None = None, insist: bool = False
) -> RolloutState:
    """Swaps the state for `step(state)`, once: when another hand was faster its state stands and this is refused to the
    caller, whose step was meant for the one before. `insist` (abort) tries again on whatever is there.

    With `home` this host's mirror follows, and whoever is killed in between leaves it at the lower share: it is lowered
    before the swap and raised after it.
    """
    with _one_at_a_time(home):
        while True:
            raw, version = store.read(layout.ROLLOUT)
            if version is None:
                raise RolloutRefused("no rollout yet: publish a release first")
            old = RolloutState.from_json(raw)
            new = step(old)
            if home is not None:
                mirror(new if new.share < old.share else old, home)
            try:
                if new != old:
                    store.swap(layout.ROLLOUT, new.to_json(), version)
            except Conflict:
                there = RolloutState.from_json(store.get(layout.ROLLOUT))
                if there != new and insist:
                    continue
                if there != new:  # equal: a retry inside the store's client met its own first write
                    raise RolloutRefused(
                        f"the rollout was changed meanwhile, to release {there.release} at {there.stage}: look again"
                    ) from None
            if home is not None:
                mirror(new, home)
            return new


def sync(store: Store, home: Path) -> RolloutState | None:
    """Bring this host's mirror to the present state, and renew its age."""
    with _one_at_a_time(home):
        state = read_state(store)
        mirror(state, home)
        return state


class MirrorFollower:
    """Keeps the mirror of a host that does not publish. It is written when the rollout has changed, or the controller
    has looked again: the mirror of a controller that died grows old, and an old mirror means: champion."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._seen: tuple[RolloutState | None, int] | None = None

    def look(self, store: Store) -> RolloutState | None:
        """Returns the store's state. Raises StoreError where it cannot be asked; the mirror is then left as it is."""
        found = read_state(store), watched(store)
        if found != self._seen:
            sync(store, self._home)
            self._seen = found
        return found[0]


def note_watched(store: Store, now: int) -> None:
    """Says in the store that the controller has looked, at `now` (UTC µs): hosts that follow by themselves renew their
    mirror's age with it, so that a controller which died is noticed everywhere."""
    store.put(layout.ROLLOUT_WATCHED, orjson.dumps({"at": now}))


def watched(store: Store) -> int:
    """When the controller last looked, in UTC µs by its clock; 0 where none has."""
    try:
        return int(orjson.loads(store.get(layout.ROLLOUT_WATCHED))["at"])
    except KeyError:
        return 0


@contextmanager
def _one_at_a_time(home: Path | None) -> Iterator[None]:
    """On one host, so that an older state never overwrites a newer mirror; the lock dies with its holder."""
    if home is None:
        yield
        return
    home.mkdir(parents=True, exist_ok=True)
    with alone(home / layout.ROLLOUT_LOCK):
        yield
