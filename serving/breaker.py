"""The candidate's fuse on this host: after a few failures its share is 0 here until the controller has judged.

Shared by every instance through one small file. It is blown for one release at one stage: when the controller moves
the stage (or another release comes), it has judged, and the fuse is whole again.
"""

import json
import os
import time
from pathlib import Path

FAILURES = 3
SLOW_SECONDS, SLOW_SECONDS_PER_ROW = 0.1, 0.001  # a batch that takes longer is slow …
SLOW_BATCHES = 5  # … and so many in a row are a failure of the candidate, not a hiccup of the machine
WINDOW_SECONDS = 60.0
LOOK_SECONDS = 0.25


class Breaker:
    """`path` of the shared file; None keeps the state in this process."""

    def __init__(self, path: Path | None, *, failures: int = FAILURES, window_seconds: float = WINDOW_SECONDS) -> None:
        self._path, self._limit, self._window = path, failures, window_seconds
        self._times: list[float] = []
        self._blown: tuple[int, str] | None = None
        self._looked = -float("inf")
        self._slow = 0

    def open(self, release: int, stage: str) -> bool:
        """True while the candidate of this release must not serve at this stage."""
        now = time.monotonic()
        if self._path is not None and now - self._looked > LOOK_SECONDS:
            self._looked = now
            self._blown = self._read()
        return self._blown == (release, stage)

    def failed(self, release: int, stage: str, reason: str) -> None:
        """Count one failed batch; the last one of `failures` within the window opens it, everywhere on this host."""
        now = time.monotonic()
        self._times = [t for t in self._times if now - t < self._window] + [now]
        if len(self._times) >= self._limit:
            self._open(release, stage, reason)

    def took(self, release: int, stage: str, seconds: float, rows: int) -> None:
        """Count a slow batch; a quick one forgives those before it."""
        slow = seconds > SLOW_SECONDS + rows * SLOW_SECONDS_PER_ROW
        self._slow = self._slow + 1 if slow else 0
        if self._slow >= SLOW_BATCHES:
            self._slow = 0
            self._open(release, stage, f"candidate: slow: {SLOW_BATCHES} batches in a row, the last {seconds:.3f} s")

    def _open(self, release: int, stage: str, reason: str) -> None:
        """From now on here, and on this host within LOOK_SECONDS."""
        self._blown, self._times = (release, stage), []
        if self._path is not None:
            draft = self._path.with_name(f".{self._path.name}.{os.getpid()}")
            draft.write_text(json.dumps({"release": release, "stage": stage, "reason": reason, "at": time.time()}))
            draft.replace(self._path)

    def _read(self) -> tuple[int, str] | None:
        try:
            state = json.loads((self._path or Path()).read_text())
            return int(state["release"]), str(state["stage"])
        except (OSError, ValueError, KeyError, TypeError):
            return None
