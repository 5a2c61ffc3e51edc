"""The end of reward windows is learnt although nobody calls: a thread asks four times a second."""

import threading
from collections.abc import Callable

EVERY_SECONDS = 0.25


class WindowCloser:
    """Calls `look()`, which must not raise, until it is closed; `close()` returns when the last call has."""

    def __init__(self, look: Callable[[], object], every: float = EVERY_SECONDS) -> None:
        self._look, self._every, self._ended = look, every, threading.Event()
        self._thread = threading.Thread(target=self._run, name="window-closer", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._ended.wait(self._every):
            self._look()

    def close(self) -> None:
        """Ends the thread, after the look that it is in."""
        self._ended.set()
        self._thread.join()
