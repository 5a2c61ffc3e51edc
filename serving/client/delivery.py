"""What a client does beside its users' calls: find out whether the server is back, and deliver what it owes.

A probe is a canary selection: `is_model_ready` stays true for a dead stub. It lets what is owed gather for a moment, so
that a server under too much load gets few large deliveries instead of one a fallback.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from croupier.serving.client.circuit import Circuit
from croupier.serving.client.outbox import Outbox

log = logging.getLogger(__name__)
EVERY_SECONDS = 0.25
GATHER_SECONDS = 0.05
REMEMBERED = 1000  # refusals of what was delivered late
Deliver = Callable[[str, Sequence[dict[str, Any]]], list[str]]


class Courier:
    """`probe()` is True when the server answered, and may replace the connection; `deliver(model, rows)` returns an
    error text a row ("" = taken), or raises when there was no answer."""

    def __init__(self, circuit: Circuit, outbox: Outbox, *, probe: Callable[[], bool], deliver: Deliver) -> None:
        self._circuit, self._outbox, self._probe, self._deliver = circuit, outbox, probe, deliver
        self._wake, self._ended = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None
        self._turn = threading.Lock()
        self.refused: deque[tuple[str, str]] = deque(maxlen=REMEMBERED)  # (model, error), the last ones

    def wake(self) -> None:
        """Tells the thread that there is something to do. The thread is started when first needed."""
        with self._turn:
            if self._thread is None and not self._ended.is_set():
                self._thread = threading.Thread(target=self._work, name="croupier-courier", daemon=True)
                self._thread.start()
        self._wake.set()

    def stop(self) -> None:
        """Ends the thread; waits at most five seconds for it."""
        self._ended.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout=5)

    def _work(self) -> None:
        while not self._ended.is_set():
            self._wake.wait(EVERY_SECONDS if self._circuit.is_open or len(self._outbox) else None)
            self._wake.clear()
            try:
                if self._circuit.is_open:
                    if not self._probe():
                        self._ended.wait(EVERY_SECONDS)
                        continue
                    self._circuit.close()
                self._ended.wait(GATHER_SECONDS)
                self._empty()
            except Exception as error:  # noqa: BLE001 — the next round tries again
                log.debug("not delivered: %s", error)
                self._ended.wait(EVERY_SECONDS)

    def _empty(self) -> None:
        while not self._ended.is_set() and not self._circuit.is_open:
            model, ids, rows = self._outbox.next()
            if not ids:
                return
            errors = self._deliver(model, rows)
            kept = [i for i, error in zip(ids, errors, strict=True) if not error.startswith("log:")]
            for error in errors:
                if error and not error.startswith("log:"):
                    log.warning("the server refused a %s: %s", model, error)
                    self.refused.append((model, error))
            self._outbox.done(kept)
            if len(kept) < len(ids):
                raise RuntimeError("the server's log is not available")
