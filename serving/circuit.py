"""The client's breaker: after a few failures in a row, stop asking a server that does not answer.

    closed ──(failures in a row)──▶ open ──(a probe answered)──▶ closed

No user's call is spent on finding out whether the server is back: a probe does that, beside the traffic.
"""

import threading
import time

FAILURES = 5


class Circuit:
    """Shared by the threads of one client. Late failures of calls sent before it closed do not open it again."""

    def __init__(self, failures: int = FAILURES) -> None:
        self._limit, self._turn = failures, threading.Lock()
        self._in_a_row, self._closed_at = 0, -float("inf")
        self.opened_at: float | None = None

    @property
    def is_open(self) -> bool:
        return self.opened_at is not None

    def succeeded(self) -> None:
        self._in_a_row = 0

    def failed(self, sent_at: float) -> None:
        """A call sent at `sent_at` (time.monotonic) had no answer."""
        with self._turn:
            if sent_at < self._closed_at:
                return
            self._in_a_row += 1
            if self._in_a_row >= self._limit and self.opened_at is None:
                self.opened_at = time.monotonic()

    def close(self) -> None:
        """A probe was answered."""
        with self._turn:
            self._in_a_row, self.opened_at, self._closed_at = 0, None, time.monotonic()
