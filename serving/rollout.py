"""The rollout's state, and the rule that moves it.

    shadow ─▶ 5% ─▶ 20% ─▶ 50% ─▶ 100%        held: stays where it is, with an alarm
       └───────┴──────┴──────┴─▶ aborted       share 0, for good

One small object in the store (`rollout/state.json`), changed only by compare-and-swap, carrying its own history. Each
host mirrors it to `<home>/rollout.json`, which the selector re-reads every second. A unit belongs to the candidate
iff hash(salt, unit) < share: sticky, monotone in the share, the same on every host.
"""

import json
import os
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

from features.ids import uniform01
from features.locks import alone
from features.storage import Conflict, Store

KEY = "rollout/state.json"
SHADOW, ABORTED = "shadow", "aborted"


class RolloutRefused(ValueError):
    """The change asked for is not possible from the present state: says which is, and what to do."""


@dataclass(frozen=True, kw_only=True)
class RolloutState:
    """Where release `release` stands. `share` of units see the candidate; `since` is UTC µs; `stages` are the shares
    to come. `held` says why no step is taken ("" = it is not held). `history` has one entry per change, oldest
    first: {at, stage, share, reason, evidence, by}."""

    release: int
    stage: str
    share: float
    salt: str
    since: int
    stages: tuple[float, ...] = (0.05, 0.20, 0.50, 1.0)
    held: str = ""
    history: tuple[Mapping[str, Any], ...] = ()

    def to_json(self) -> bytes:
        return json.dumps(asdict(self), sort_keys=True, indent=1).encode()

    @classmethod
    def from_json(cls, raw: bytes) -> Self:
        """Raises ValueError for what is no state."""
        try:
            row = json.loads(raw)
            row["stages"], row["history"] = tuple(row["stages"]), tuple(row["history"])
            state = cls(**row)
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            expected = f"what `publish` wrote ({type(error).__name__}: {error})"
            raise ValueError(f"rollout state: found {raw[:60]!r}, expected {expected}") from None
        if type(state.share) not in (int, float) or not 0.0 <= state.share <= 1.0:
            raise ValueError(f"rollout share: found {state.share!r}, expected a number in [0, 1]")
        if (type(state.release), type(state.stage), type(state.salt)) != (int, str, str):
            found = f"release {state.release!r}, stage {state.stage!r}, salt {state.salt!r}"
            raise ValueError(f"rollout state: found {found}, expected a number and two texts")
        return state

    @property
    def running(self) -> bool:
        return self.stage != ABORTED and self.share < 1.0


def label(share: float) -> str:
    return SHADOW if share == 0 else f"{share:.4%}".rstrip("0%").rstrip(".") + "%" if share < 1 else "100%"


def share_of(stage: str) -> float:
    """The share that a stage's label names; 0 for shadow, none and aborted."""
    return float(stage[:-1]) / 100 if stage.endswith("%") else 0.0


def start(
    release: int, *, now: int, stages: Sequence[float] = (0.05, 0.20, 0.50, 1.0), shadow: bool = False,
    has_candidate: bool = True, by: str = "publish",
) -> RolloutState:  # fmt: skip
    """The first state of a release: at its first stage, or in shadow; without a candidate, at share 0 for good."""
    if list(stages) != sorted(set(stages)) or not stages or stages[0] <= 0 or stages[-1] != 1.0:
        raise ValueError(f"rollout stages: found {tuple(stages)}, expected rising shares in (0, 1] that end with 1.0")
    share = 0.0 if shadow or not has_candidate else float(stages[0])
    stage = label(share) if has_candidate else "none"
    blank = RolloutState(
        release=release, stage=stage, share=share, salt=f"rollout-{release}", since=now, stages=tuple(stages)
    )
    return _moved(blank, (stage, share), f"release {release} published", now=now, by=by)


def advance(
    state: RolloutState, reason: str, *, now: int, by: str, evidence: Mapping[str, Any] | None = None
) -> RolloutState:
    """The next stage. Raises RolloutRefused where there is none."""
    if state.stage in (ABORTED, "none"):
        raise RolloutRefused(f"release {state.release} is {state.stage}: publish a new release to expose a candidate")
    later = [share for share in state.stages if share > state.share]
    if not later:
        raise RolloutRefused(f"release {state.release} is at 100% already: promote its candidate")
    return _moved(state, (label(later[0]), later[0]), reason, now=now, by=by, evidence=evidence)


def abort(
    state: RolloutState, reason: str, *, now: int, by: str, evidence: Mapping[str, Any] | None = None
) -> RolloutState:
    """Back to the champion, for good. Aborting an aborted rollout changes nothing."""
    if state.stage == ABORTED:
        return state
    return _moved(state, (ABORTED, 0.0), reason, now=now, by=by, evidence=evidence)


def hold(
    state: RolloutState, reason: str, *, now: int, by: str, evidence: Mapping[str, Any] | None = None
) -> RolloutState:
    """Stay at this share and say why. The same reason again changes nothing."""
    if state.held == reason:
        return state
    held = _moved(state, (state.stage, state.share), f"held: {reason}", now=now, by=by, evidence=evidence)
    return replace(held, held=reason, since=state.since)


def resume(state: RolloutState, *, now: int, by: str, evidence: Mapping[str, Any] | None = None) -> RolloutState:
    """What held it is over. The clock of the stage runs on."""
    to, since = (state.stage, state.share), state.since
    return replace(_moved(state, to, f"over: {state.held}", now=now, by=by, evidence=evidence), since=since)


def _moved(
    state: RolloutState, to: tuple[str, float], reason: str, *, now: int, by: str,
    evidence: Mapping[str, Any] | None = None,
) -> RolloutState:  # fmt: skip
    stage, share = to
    entry = {"at": now, "stage": stage, "share": share, "reason": reason, "by": by, "evidence": dict(evidence or {})}
    return replace(state, stage=stage, share=share, since=now, held="", history=(*state.history, entry))


def in_candidate(salt: str, unit_hash: str, share: float) -> bool:
    """Does the unit belong to the candidate? True for a share of 1, False for 0, never True then False as it rises."""
    return uniform01(salt, unit_hash) < share


# ── the one object, in the store ────────────────────────────────────────────────────────────────────────────────────


def read_state(store: Store) -> RolloutState | None:
    """The present state, or None before the first release."""
    try:
        return RolloutState.from_json(store.get(KEY))
    except KeyError:
        return None


def begin(store: Store, state: RolloutState) -> RolloutState:
    """Make `state` the present one, unless that of a later release is: a new release supersedes the old cleanly, and
    the old one's history is kept under rollout/history/. Returns what is in force afterwards."""
    while True:
        raw, version = store.read(KEY)
        if raw and (old := RolloutState.from_json(raw)).release >= state.release:
            return old
        try:
            if raw:
                store.put(f"rollout/history/{old.release:06d}.json", raw)
            store.swap(KEY, state.to_json(), version)
        except Conflict:
            continue
        return state


def change(
    store: Store, step: Callable[[RolloutState], RolloutState], *, home: Path | None = None, insist: bool = False
) -> RolloutState:
    """Compare-and-swap `step(state)`, once: when another hand was faster its state stands and this is refused to the
    caller, whose step was meant for the one before. `insist` (abort) tries again on whatever is there.

    With `home` this host's mirror follows, and whoever is killed in between leaves it at the lower share: it is lowered
    before the swap and raised after it.
    """
    with _one_at_a_time(home):
        while True:
            raw, version = store.read(KEY)
            if version is None:
                raise RolloutRefused("no rollout yet: publish a release first")
            old = RolloutState.from_json(raw)
            new = step(old)
            if home is not None:
                mirror(new if new.share < old.share else old, home)
            try:
                if new != old:
                    store.swap(KEY, new.to_json(), version)
            except Conflict:
                there = RolloutState.from_json(store.get(KEY))
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


@contextmanager
def _one_at_a_time(home: Path | None) -> Iterator[None]:
    """On one host, so that an older state never overwrites a newer mirror; the lock dies with its holder."""
    if home is None:
        yield
        return
    home.mkdir(parents=True, exist_ok=True)
    with alone(home / ".rollout.lock"):
        yield


# ── its mirror on each host ─────────────────────────────────────────────────────────────────────────────────────────


def mirror(state: RolloutState | None, home: Path) -> None:
    """Write <home>/rollout.json by rename; each call renews its age, so a controller that died is noticed."""
    if state is None:
        return
    home.mkdir(parents=True, exist_ok=True)
    draft = home / f".rollout-{uuid.uuid4().hex[:8]}"
    try:
        with draft.open("wb") as file:
            file.write(replace(state, history=()).to_json())
            file.flush()
            os.fsync(file.fileno())
        draft.replace(home / "rollout.json")
    finally:
        draft.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class RolloutView:
    """What a selector needs for one batch."""

    stage: str = "none"
    share: float = 0.0
    salt: str = ""

    @property
    def shadow(self) -> bool:
        return self.stage == SHADOW

    def holds(self, unit_hash: str) -> bool:
        """Is this unit the candidate's?"""
        return self.share > 0.0 and in_candidate(self.salt, unit_hash, self.share)


class RolloutReader:
    """The mirror as a selector sees it: looked at no more than once in `every` seconds. A file that is missing,
    unreadable, older than `max_age` seconds, or about another release means: champion (share 0)."""

    def __init__(self, path: Path, max_age: float = 3600.0, every: float = 0.5) -> None:
        self._path, self._max_age, self._every = path, max_age, every
        self._looked = -float("inf")
        self._state: RolloutState | None = None

    def view(self, release: int) -> RolloutView:
        now = time.monotonic()
        if now - self._looked >= self._every:
            self._looked, self._state = now, self._look()
        if self._state is None or self._state.release != release:
            return RolloutView()
        return RolloutView(self._state.stage, self._state.share, self._state.salt)

    def _look(self) -> RolloutState | None:
        try:
            if time.time() - self._path.stat().st_mtime > self._max_age:
                return None
            return RolloutState.from_json(self._path.read_bytes())
        except (OSError, ValueError):
            return None
