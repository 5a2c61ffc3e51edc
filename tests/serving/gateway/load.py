"""A bounded client that costs little beside the gateway: so many connections that stay open, each with one call at once.

Closed: each connection asks again as soon as it is answered. Open, at a `rate` for all together: calls are due at fixed
times, and their latency counts from when they were due, so that a gateway that stalls is not asked less for it.
"""

import asyncio
import json
import time
from collections import Counter
from dataclasses import dataclass, field

HEAD = (
    "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
)
SECONDS = 60  # for one answer


@dataclass
class Run:
    """What came: answers by status, seconds of each call, and of all."""

    statuses: Counter = field(default_factory=Counter)
    took: list = field(default_factory=list)
    seconds: float = 0.0

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
    return asyncio.run(_run(port, iter(enumerate(calls)), lanes, rate))


async def _run(port, calls, lanes, rate):
    found, began = Run(), time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(lanes):
            group.create_task(_lane(port, calls, found, began, rate))
    found.seconds = time.perf_counter() - began
    return found


async def _lane(port, calls, found, began, rate):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for i, call in calls:
        due = time.perf_counter()
        if rate is not None:
            due = began + i / rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
        writer.write(call)
        async with asyncio.timeout(SECONDS):
            head = await reader.readuntil(b"\r\n\r\n")
            if length := _length(head):
                await reader.readexactly(length)
        found.took.append(time.perf_counter() - due)
        found.statuses[int(head[9:12])] += 1
    writer.close()


def _length(head):
    _, there, rest = head.lower().partition(b"content-length: ")
    return int(rest.partition(b"\r\n")[0]) if there else 0
