"""The client's breaker: after a few failures in a row, stop asking a server that does not answer. And its throttle: ask
an overloaded server for little more than it can answer.

    closed ──(failures in a row)──▶ open ──(a probe answered)──▶ closed

No user's call is spent on finding out whether the server is back: a probe does that, beside the traffic.
"""

import random
import threading
import time
from collections.abc import Callable

FAILURES = 5
UP, DOWN = 1.05, 0.5  # in balance 7 % of the calls sent are in vain: ln UP / (ln UP - ln DOWN)
LEAST, MOST = 0.02, 2.0  # from MOST the first failure costs nothing
HEAL_SECONDS = 5.0  # in which the share doubles by itself, so that a client of few calls does not wait for answers


class Circuit:
    """Shared by the threads of one client. Late failures of calls sent before it closed do not open it again."""

    def __init__(self, failures: int = FAILURES) -> None:
        self._limit, self._turn = failures, threading.Lock()
        self._in_a_row, self._closed_at = 0, -float("inf")
        self.opened_at: float | None = None

    @property
    def is_open(self) -> bool:
        """True if calls are not tried at present."""
        return self.opened_at is not None

    def succeeded(self) -> None:
        """Notes a call that was answered: failures in a row begin anew."""
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


class Throttle:
    """The share of calls that are sent: halved by a call without an answer, 5 % up with one that had it. A queue full
    of calls whose callers gave up answers nobody; held back here, they fall back at once and the rest are answered."""

    def __init__(
        self, uniform: Callable[[], float] = random.random, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._uniform, self._clock, self._turn = uniform, clock, threading.Lock()
        self.share, self._at = MOST, clock()

    def holds_back(self) -> bool:
        """True: do not send this call."""
        now = self._clock()
        with self._turn:
            doublings = min((now - self._at) / HEAL_SECONDS, 10.0)  # enough for any share; 2.0**1024 is no float
            self.share, self._at = min(MOST, self.share * 2.0**doublings), now
        return self._uniform() >= self.share

    def answered(self) -> None:
        """Raises the share of calls that are sent."""
        with self._turn:
            self.share = min(MOST, self.share * UP)

    def failed(self) -> None:
        """Lowers the share of calls that are sent."""
        with self._turn:
            self.share = max(LEAST, self.share * DOWN)
