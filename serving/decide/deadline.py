"""Work that may hang, done in a thread of its own: who asks waits as long as it can afford, and then goes on."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from queue import SimpleQueue
from time import monotonic
from typing import Any, TypeVar

T = TypeVar("T")


class TooSlow(RuntimeError):
    """No result in the time there was. `busy`: seconds that an earlier work has taken so far, if this one was not even
    begun because of it, else 0."""

    def __init__(self, message: str, busy: float = 0.0) -> None:
        super().__init__(message)
        self.busy = busy


class DeadlineRunner:
    """One asker, one thread, made when first needed; a daemon, so that a process with a hanging one can still end."""

    def __init__(self) -> None:
        self._jobs: SimpleQueue[tuple[Callable[[], Any], Future[Any]]] = SimpleQueue()
        self._last: Future[Any] | None = None
        self._began = 0.0

    def run(self, work: Callable[[], T], seconds: float) -> T:
        """The result of `work`, or what it raised. Raises TooSlow when it is not there after `seconds`; and at once,
        the work not begun, while the one before is still going on."""
        now = monotonic()
        if self._last is None:
            threading.Thread(target=self._work, name="candidate", daemon=True).start()
        elif not self._last.done():
            raise TooSlow(f"still at the work before, for {now - self._began:.3f} s", busy=now - self._began)
        future: Future[T] = Future()
        self._last, self._began = future, now
        self._jobs.put((work, future))
        for _ in range(2):  # in two halves: a moment in which the whole process stood still uses up one of them
            with suppress(TimeoutError):
                future.exception(seconds / 2)
        if not future.done():
            raise TooSlow(f"no result after {seconds:.3f} s")
        return future.result()

    def _work(self) -> None:
        while True:
            work, future = self._jobs.get()
            try:
                future.set_result(work())
            except Exception as error:  # noqa: BLE001 - it is the asker's
                future.set_exception(error)
            except BaseException as error:  # noqa: BLE001 - SystemExit would end the thread, and be waited for
                future.set_exception(RuntimeError(repr(error)))
