"""The product in front of the rehearsal: a crowd of the reels world, and what it was answered, held against the store."""

import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

from croupier.features import clock
from croupier.features.log.shipped import DECISION, REWARD, open_log
from croupier.features.utc import DAY
from croupier.features.workspace import Workspace
from croupier.features.worlds.reels import World
from croupier.serving.client.client import Client
from croupier.serving.simulation.month.crowd import Crowd
from croupier.serving.simulation.month.visitors import Visitors
from croupier.serving.triton.endpoint_security import EndpointSecurity

PER_DAY, DEADLINE_MS = 150_000, 2000.0


class Kept(Client):
    """A client that keeps what it was answered, and which rewards were taken."""

    def __init__(self, url: str, **more: Any) -> None:
        super().__init__(url, **more)
        self.decided: dict[str, tuple[str, float]] = {}
        self.roles: Counter[str] = Counter()
        self.rewarded: set[str] = set()

    def select_batch(self, requests: Any) -> Any:
        answers = super().select_batch(requests)
        for answer in answers:
            if not answer.error:
                self.decided[answer.event_id] = (answer.arm, answer.propensity)
                self.roles[answer.role] += 1
        return answers

    def reward_batch(self, rewards: Any) -> Any:
        outcomes = super().reward_batch(rewards)
        self.rewarded |= {r["event_id"] for r, said in zip(rewards, outcomes, strict=True) if not said.error}
        return outcomes


class Shop(threading.Thread):
    """A crowd that comes until `leave()`."""

    def __init__(self, w: Workspace) -> None:
        super().__init__(daemon=True)
        security = EndpointSecurity.of(w.settings)
        self.client = Kept(
            w.settings.triton,
            deadline_ms=DEADLINE_MS,
            outbox=Path("/tmp/outbox.db"),
            tls=security.tls,
            token=security.token,
        )
        self.people = Visitors(Crowd(world=World(), start=clock.now_us() // DAY * DAY, per_day=PER_DAY), self.client)
        self._leaving = threading.Event()

    def run(self) -> None:
        while not self._leaving.is_set():
            self.people.come()
            time.sleep(1.0)

    def leave(self) -> bool:
        """The crowd goes; what the client still holds is delivered. Returns whether all of it was."""
        self._leaving.set()
        self.join()
        return self.client.flush(60.0)


def account(w: Workspace, client: Kept) -> dict[str, int]:
    """What was answered, held against the log in the store: how many are lost, doubled, or otherwise than answered."""
    with open_log(w.store) as log:
        logged = log.read("decisions", log.hours("decisions"), DECISION)
        rewards = log.read("rewards", log.hours("rewards"), REWARD)
    found = {row["event_id"]: (row["arm"], row["propensity"]) for row in logged.iter_rows(named=True)}
    return {
        "answered": len(client.decided),
        "lost": len(client.decided.keys() - found.keys()),
        "doubled": len(logged) - len(found),
        "otherwise": sum(found[event] != said for event, said in client.decided.items() if event in found),
        "rewards": len(client.rewarded),
        "rewards_lost": len(client.rewarded - set(rewards["event_id"])),
        "by_fallback": client.roles["fallback"],
    }
