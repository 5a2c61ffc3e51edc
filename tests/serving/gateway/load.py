"""A bounded client that costs little beside the gateway: so many connections that stay open, each with one call at once.

Closed: each connection asks again as soon as it is answered. Open, at a `rate` for all together: calls are due at fixed
times, and their latency counts from when they were due, so that a gateway that stalls is not asked less for it.

One thread, bare sockets and epoll: a call costs it some 30 µs of CPU, as wrk's, where asyncio's streams took 150.
"""

import json
import selectors
import socket
import time
from collections import Counter
from dataclasses import dataclass, field

HEAD = (
    "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
)
SECONDS = 60  # for one answer


@dataclass
class Run:
    """What came: answers by status, seconds of each call, and of all; `cpu`: what this client used of its own."""

    statuses: Counter = field(default_factory=Counter)
    took: list = field(default_factory=list)
    seconds: float = 0.0
    cpu: float = 0.0

    @property
    def rate(self):
        return len(self.took) / self.seconds

    def percentile(self, share):
        return sorted(self.took)[min(len(self.took) - 1, int(share * len(self.took)))]


def posted(path, body):
    """A call as it travels."""
    raw = json.dumps(body).encode()
    return HEAD.format(method="POST", path=path, length=len(raw)).encode() + raw


def run(port, calls, *, lanes=16, rate=None):
    """Sends all calls, in their order, over so many connections. Raises where an answer takes longer than SECONDS."""
    found, began, cpu = Run(), time.perf_counter(), time.process_time()
    due = (began if rate is None else began + i / rate for i in range(1 << 60))
    with selectors.EpollSelector() as ready:
        free = [_Lane(port, ready) for _ in range(lanes)]
        try:
            _ask(iter(calls), due, free, ready, found, paced=rate is not None)
        finally:
            for each in list(ready.get_map().values()):
                each.fileobj.close()
    found.seconds, found.cpu = time.perf_counter() - began, time.process_time() - cpu
    return found


def _ask(calls, due, free, ready, found, *, paced):
    """Sends each call when it is due and a lane is free; ends when all are answered."""
    lanes, call, at, answered = len(free), next(calls, None), next(due), time.perf_counter()
    while call is not None or len(free) < lanes:
        while call is not None and free and (not paced or at <= time.perf_counter()):
            free.pop().send(call, at if paced else time.perf_counter())
            call, at = next(calls, None), next(due)
        wait = min(SECONDS, max(0.0, at - time.perf_counter())) if paced and call is not None and free else SECONDS
        for key, _ in ready.select(wait):
            if key.data.answered(found):
                free.append(key.data)
                answered = time.perf_counter()
        if len(free) < lanes and time.perf_counter() - answered > SECONDS:
            raise TimeoutError(f"found no answer in {SECONDS} s, expected one")


class _Lane:
    """One connection, with at most one call under way."""

    def __init__(self, port, ready):
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=SECONDS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        ready.register(self._socket, selectors.EVENT_READ, self)
        self._due, self._got = 0.0, b""

    def send(self, call, due):
        self._due, self._got = due, b""
        self._socket.sendall(call)

    def answered(self, found):
        """Whether the answer is there, whole. Raises ConnectionError where the gateway hung up."""
        got = self._socket.recv(1 << 16)
        if not got:
            raise ConnectionError("found a closed connection, expected an answer")
        self._got += got
        head, whole, body = self._got.partition(b"\r\n\r\n")
        if not whole or len(body) < _length(head):
            return False
        found.took.append(time.perf_counter() - self._due)
        found.statuses[int(head[9:12])] += 1
        return True


def _length(head):
    _, there, rest = head.lower().partition(b"content-length: ")
    return int(rest.partition(b"\r\n")[0]) if there else 0
