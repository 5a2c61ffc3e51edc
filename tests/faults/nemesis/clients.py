"""Clients of the nemesis: `python -m tests.faults.nemesis.clients URL FOLDER NAME SEED RATE` in a process of its own.

Threads select at a steady rate, reward what they were shown some seconds later, send some rewards and some questions
again, and write down what they were told, as lines of JSON, until FOLDER/stop exists. Then they deliver what they owe.
"""

import heapq
import json
import random
import sys
import threading
import time
from pathlib import Path

from croupier import Client

THREADS, DEADLINE_MS = 3, 1000.0
ARMS = ("a0", "a1", "a2", "a3")
CLICKS = {"a0": 0.05, "a1": 0.25, "a2": 0.40, "a3": 0.10}
AGAIN, TWICE = 0.03, 0.1  # shares of questions and of rewards that are sent a second time
CLICK_SECONDS = 2.0  # in the mean, after the decision; the window is five seconds


class Caller(threading.Thread):
    """One user's thread: asks, is answered, clicks. `lines` is what it was told."""

    def __init__(self, client: Client, name: str, seed: int, pause: float, stop: Path) -> None:
        super().__init__(name=name)
        self.client, self.rng, self.pause, self.stop_file = client, random.Random(seed), pause, stop
        self.lines: list[dict[str, object]] = []
        self.clicks: list[tuple[float, str, str]] = []  # when, of which event, and the reward's id

    def run(self) -> None:
        due, n = time.monotonic(), 0
        while not self.stop_file.exists():
            self.turn(f"{self.name}-{n}")
            n, due = n + 1, max(due + self.pause, time.monotonic() - 1.0)
            time.sleep(max(0.0, due - time.monotonic()))
        self.click(float("inf"))

    def turn(self, event: str) -> None:
        unit = f"u{self.rng.randrange(100_000)}"
        context = {"age": float(self.rng.randrange(80))}
        chosen = self.ask(event, unit, context)
        if self.rng.random() < AGAIN and chosen.event_id == event:
            self.ask(event, unit, context)
        if self.rng.random() < CLICKS[chosen.arm]:
            when = time.monotonic() + self.rng.expovariate(1 / CLICK_SECONDS)
            heapq.heappush(self.clicks, (when, chosen.event_id, f"{event}-click"))
        self.click(time.monotonic())

    def click(self, now: float) -> None:
        """Sends the rewards that are due."""
        while self.clicks and self.clicks[0][0] <= now:
            _, event, name = heapq.heappop(self.clicks)
            for _ in range(1 + (self.rng.random() < TWICE)):
                told = self.client.reward(event_id=event, kind="click", value=1.0, reward_id=name)
                self.lines.append({"post": [event, name, 1.0, told.status]})

    def ask(self, event, unit, context):
        chosen = self.client.select(unit_id=unit, context=context, arms=ARMS, event_id=event)
        told = [self.name, event, chosen.event_id, unit, chosen.arm, chosen.propensity, chosen.release, chosen.role]
        self.lines.append({"answer": told})
        return chosen


def main(url: str, folder: str, name: str, seed: str, rate: str) -> None:
    there = Path(folder)
    with Client(url, deadline_ms=DEADLINE_MS, outbox=there / f"{name}.outbox") as client:
        pause = THREADS / float(rate)
        callers = [Caller(client, f"{name}.{i}", int(seed) + i, pause, there / "stop") for i in range(THREADS)]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
        owed = {"delivered": client.flush(60.0), "refusals": client.refusals(), "dropped": client.outbox.dropped}
    lines = [line for caller in callers for line in caller.lines] + [{"owed": owed}]
    (there / f"{name}.jsonl").write_text("\n".join(map(json.dumps, lines)))


if __name__ == "__main__":
    main(*sys.argv[1:])
