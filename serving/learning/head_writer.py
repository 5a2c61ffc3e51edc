"""Who writes the heads of a host: the fast loop of the newest release, in one process at a time.

Triton's `reward` model is that process, or one of those that embed the selector. Whoever holds the lock learns, also
from what the others took in, since all of them write one log; when it ends, or is killed, another goes on.
"""

import fcntl
import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import IO

from croupier.features.log.spool import Spool
from croupier.features.spec import RewardSpec
from croupier.features.store import layout
from croupier.serving.learning.fast_loop import FastLoop, LearntHead
from croupier.serving.release import bundle

log = logging.getLogger(__name__)


class HeadWriter:
    """Call it to learn what is new. `newest()` gives the folder of the release that serves, None before the first;
    `told(role, step)` hears where each head stands."""

    def __init__(
        self,
        home: Path,
        spool: Spool,
        spec: RewardSpec,
        newest: Callable[[], Path | None],
        told: Callable[[str, int], object] = lambda _role, _step: None,
    ) -> None:
        self._home, self._spool, self._spec, self._newest, self._told = home, spool, spec, newest, told
        self._turn = threading.Lock()  # rewards come in one thread, windows close in another
        self._lock: IO[bytes] | None = None
        self._loop: tuple[Path, FastLoop] | None = None

    def __call__(self) -> None:
        """Never raises: the reward is on record, and what could not be learnt now is learnt by the next call."""
        try:
            with self._turn:
                if self._mine():
                    self._learn()
        except Exception:
            log.exception("the fast loop failed")

    def heads(self) -> list[LearntHead] | None:
        """The heads that this process writes, as they stand; None where another process is the writer."""
        loop = self._loop
        return None if self._lock is None or loop is None else loop[1].heads()

    def close(self) -> None:
        """Lets another process write. Only the process that made it may call this."""
        with self._turn:
            self._loop = None
            if self._lock is not None:
                self._lock.close()
                self._lock = None

    def abandon(self) -> None:
        """In a forked child: gives up the handle of the parent's lock, which would hold it after the parent's end.
        The lock stays the parent's, since closing one of two handles does not unlock."""
        if self._lock is not None:
            self._lock.close()

    def _mine(self) -> bool:
        """True if this process is the writer, or becomes it now."""
        if self._lock is not None:
            return True
        lock = (self._home / layout.HEADS_LOCK).open("ab")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            return False
        self._lock = lock
        return True

    def _learn(self) -> None:
        folder = self._newest()
        if folder is None:
            return
        if self._loop is None or self._loop[0] != folder:
            loop = FastLoop(self._home / layout.HEADS, bundle.load(folder), self._spool, self._spec)
            self._loop = folder, loop
        _, loop = self._loop
        loop.learn()
        loop.close_windows()
        for role, step in loop.positions():
            self._told(role, step)
