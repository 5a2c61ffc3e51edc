"""How long this machine kept a ready thread waiting: what a time limit must not blame on the code under test."""

import threading
import time


class Hiccups:
    """Sleeps 2 ms at a time while it is open; `worst_ms` is by how much a sleep was overslept at most."""

    def __init__(self) -> None:
        self.worst_ms, self._ended = 0.0, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def _watch(self) -> None:
        while not self._ended.is_set():
            began = time.perf_counter()
            time.sleep(0.002)
            self.worst_ms = max(self.worst_ms, (time.perf_counter() - began) * 1e3 - 2)

    def __enter__(self) -> "Hiccups":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
