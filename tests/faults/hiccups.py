"""How long this machine kept a ready thread waiting: what a time limit must not blame on the code under test."""

import threading
import time
from collections.abc import Callable

LEAST_MS = 1.0  # of a sleep overslept: less is what an idle machine does
TURNS = 10  # calls that are missed for one moment in which nothing ran: each must meet its deadline at both ends


class Hiccups:
    """Sleeps 2 ms at a time while it is open; `worst_ms` is by how much a sleep was overslept at most, `lost_s` what
    was overslept in all."""

    def __init__(self) -> None:
        self.worst_ms, self.lost_s, self._ended = 0.0, 0.0, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def _watch(self) -> None:
        while not self._ended.is_set():
            began = time.perf_counter()
            time.sleep(0.002)
            late = (time.perf_counter() - began) * 1e3 - 2
            self.worst_ms = max(self.worst_ms, late)
            self.lost_s += late / 1e3 if late > LEAST_MS else 0.0

    def within(self, seconds: float) -> Callable[[], bool]:
        """A function that says whether `seconds` have not passed since now, beside the time that this machine lost."""
        began, lost = time.monotonic(), self.lost_s
        return lambda: time.monotonic() - began < seconds + TURNS * (self.lost_s - lost)

    def __enter__(self) -> "Hiccups":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
