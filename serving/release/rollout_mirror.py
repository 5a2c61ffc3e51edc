"""The rollout as a host's selector sees it: a mirror of the store's object, `<home>/rollout.json`, re-read every half
second. What cannot be trusted means: champion."""

import os
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from croupier.features.schema import CANDIDATE, HOLDOUT, NO_STAGE, SHADOW
from croupier.features.store import layout
from croupier.features.utc import HOUR_SECONDS
from croupier.serving.release.rollout_state import RolloutState, in_candidate


def mirror(state: RolloutState | None, home: Path) -> None:
    """Write <home>/rollout.json by rename; each call renews its age, so a controller that died is noticed."""
    if state is None:
        return
    home.mkdir(parents=True, exist_ok=True)
    draft = home / f"{layout.ROLLOUT_DRAFTS}{uuid.uuid4().hex[:8]}"
    try:
        with draft.open("wb") as file:
            file.write(replace(state, history=()).to_json())
            file.flush()
            os.fsync(file.fileno())
        draft.replace(home / layout.ROLLOUT_MIRROR)
    finally:
        draft.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class RolloutView:
    """What a selector needs for one batch."""

    stage: str = NO_STAGE
    share: float = 0.0
    salt: str = ""
    kept: str = ""

    @property
    def shadow(self) -> bool:
        """True if the candidate is scored for nobody to see."""
        return self.stage == SHADOW

    def named(self, role: str) -> str:
        """The role as it is logged: what answers in the candidate's place after a promotion is the hold-out."""
        return HOLDOUT if self.kept and role == CANDIDATE else role

    def holds(self, unit_hash: str) -> bool:
        """True if this unit is the candidate's, or kept back."""
        return self.share > 0.0 and in_candidate(self.salt, unit_hash, self.share)


class RolloutReader:
    """The mirror as a selector sees it: looked at no more than once in `every` seconds. A file that is missing,
    unreadable, older (or younger) than `max_age` seconds, or about another release means: champion (share 0)."""

    def __init__(self, path: Path, max_age: float = HOUR_SECONDS, every: float = 0.5) -> None:
        self._path, self._max_age, self._every = path, max_age, every
        self._looked = -float("inf")
        self._state: RolloutState | None = None

    def view(self, release: int, continues: Sequence[int] = ()) -> RolloutView:
        """Returns what a selector of `release` sees, which has the policies of the releases that it `continues`:
        between a catalogue release and the state that names it, either is served at the same share."""
        now = time.monotonic()
        if now - self._looked >= self._every:
            self._looked, self._state = now, self._look()
        if self._state is None or not (release in self._state.releases or self._state.release in continues):
            return RolloutView()
        return RolloutView(self._state.stage, self._state.share, self._state.salt, self._state.kept)

    def _look(self) -> RolloutState | None:
        try:
            if abs(time.time() - self._path.stat().st_mtime) > self._max_age:  # ahead: nobody knows when it was
                return None
            return RolloutState.from_json(self._path.read_bytes())
        except (OSError, ValueError):
            return None
