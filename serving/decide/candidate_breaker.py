"""The candidate's breaker on this host: after a few failures its share is 0 here until the controller has judged.

Shared by every instance through one small file. It opens for one release at one stage: when the controller moves
the stage (or another release comes), it has judged, and the breaker is closed again.
"""

import json
import logging
import os
import time
from pathlib import Path

from croupier.features.store import layout
from croupier.serving.release.rollout_state import RolloutState

log = logging.getLogger(__name__)
FAILURES = 3
PATIENCE_MS, PATIENCE_SECONDS_PER_ROW = 30.0, 0.0005  # a batch of the candidate is waited for so long …
SLOW_BATCHES = 5  # … and so many in a row without an answer are its failure, not a hiccup of the machine
HANG_SECONDS = 2.0  # nor is one that takes so long
WINDOW_SECONDS = 60.0
LOOK_SECONDS = 0.25


class CandidateBreaker:
    """`path` of the shared file; None keeps the state in this process. `patience_ms`: for a batch of one."""

    def __init__(
        self,
        path: Path | None,
        *,
        failures: int = FAILURES,
        window_seconds: float = WINDOW_SECONDS,
        patience_ms: float = PATIENCE_MS,
    ) -> None:
        self._path, self._limit, self._window = path, failures, window_seconds
        self._patience = patience_ms / 1000
        self._times: list[float] = []
        self._opened: tuple[int, str] | None = None
        self._looked = -float("inf")
        self._slow = 0

    def open(self, release: int, stage: str) -> bool:
        """True while the candidate of this release must not serve at this stage."""
        now = time.monotonic()
        if self._path is not None and now - self._looked > LOOK_SECONDS:
            self._looked = now
            self._opened = self._read()
        return self._opened == (release, stage)

    def failed(self, release: int, stage: str, reason: str) -> None:
        """Count one failed batch; the last one of `failures` within the window opens it, everywhere on this host."""
        now = time.monotonic()
        self._times = [t for t in self._times if now - t < self._window] + [now]
        if len(self._times) >= self._limit:
            self._open(release, stage, reason)

    def patience(self, rows: int) -> float:
        """Seconds to wait for the candidate's next batch: half as long after each slow one in a row, so that one that
        hangs costs its batch mates twice the patience in all before it is out."""
        return (self._patience + rows * PATIENCE_SECONDS_PER_ROW) * 0.5**self._slow

    def in_time(self) -> None:
        """A batch that was answered in time forgives those that were not."""
        self._slow = 0

    def slow(self, release: int, stage: str, reason: str, *, busy: float = 0.0) -> None:
        """Count a batch that was not answered in time; one that was not begun, since the candidate has been `busy` for
        so many seconds with an earlier one, says no more than that one did, unless it hangs."""
        self._slow += not busy
        if self._slow >= SLOW_BATCHES:
            self._slow = 0
            self._open(release, stage, f"candidate: slow: {SLOW_BATCHES} batches in a row, the last: {reason}")
        elif busy > HANG_SECONDS:
            self._open(release, stage, f"candidate: hangs: {reason}")

    def _open(self, release: int, stage: str, reason: str) -> None:
        """Opens the breaker from now on here, and on this host within LOOK_SECONDS."""
        self._opened, self._times = (release, stage), []
        if self._path is None:
            return
        draft = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        try:
            draft.write_text(json.dumps({"release": release, "stage": stage, "reason": reason, "at": time.time()}))
            draft.replace(self._path)
        except OSError:
            log.exception("the breaker is open in this process alone")
            self._path = None

    def _read(self) -> tuple[int, str] | None:
        try:
            state = json.loads((self._path or Path()).read_text())
            return int(state["release"]), str(state["stage"])
        except (OSError, ValueError, KeyError, TypeError):
            return None


def opened_breaker(home: Path, state: RolloutState) -> str:
    """Why this host's candidate breaker is open at this stage; "" if it is not."""
    try:
        found = json.loads((home / layout.BREAKER).read_text())
    except (OSError, ValueError):
        return ""
    same = found.get("release") in state.releases and found.get("stage") == state.stage
    reason = str(found.get("reason", "")).encode(errors="backslashreplace").decode()
    return f"breaker: {reason}" if same else ""
