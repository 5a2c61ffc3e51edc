"""Clients of the fleet: they ask a random host, ask some questions again at another, and reward at random hosts. They keep
what they were answered."""

import itertools
import random
import threading
import time
from collections import Counter, deque
from dataclasses import dataclass

from croupier import Client
from croupier.features.schema import FALLBACK
from tests.serving import apps
from tests.serving.embedded.shop import asked
from tests.serving.fleet.fleets import until
from tests.serving.fleet.test_kills import reward

THREADS, BETWEEN_SECONDS, DEADLINE_MS, WAIT_SECONDS = 2, 0.06, 2000.0, 300.0
LAG = 8  # rewards come so many decisions late
AT_ONCE = 100  # questions that are made at a time, of 2,000 users
LEARNT = {"accepted", "elsewhere", "duplicate", "queued"}


@dataclass(frozen=True)
class Seen:
    """A decision that host `host` made for `unit`, asked for at `begun` and answered at `over` (seconds, this machine's)."""

    host: int
    begun: float
    over: float
    unit: str
    role: str


class Crowd:
    """Threads that come until `leave()`. `answered`: (arm, propensity) by event; `own`: what clients decided by themselves;
    `again`: what was asked of two hosts, and is never rewarded; `rewarded`: the rest."""

    def __init__(self, machines, *, seed, **security):
        self.machines = machines
        self.clients = [Client(m.url, deadline_ms=DEADLINE_MS, **security) for m in machines]
        self.answered, self.asked, self.own, self.again, self.rewarded = {}, set(), set(), set(), set()
        self.seen, self.served, self.fates, self.errors = [], Counter(), Counter(), []
        self._due, self._leaving, self._numbers = deque(), threading.Event(), itertools.count()
        self._threads = [threading.Thread(target=self._come, args=(seed + i,), daemon=True) for i in range(THREADS)]

    def come(self):
        for thread in self._threads:
            thread.start()
        return self

    def until_served(self, *hosts, n=8):
        """Waits until each of these hosts has decided so often again; returns the seconds."""
        began, before = time.monotonic(), {host: self.served[host] for host in hosts}
        until(lambda: self.errors or all(self.served[host] >= before[host] + n for host in hosts), WAIT_SECONDS)
        assert not self.errors, self.errors[0]
        return time.monotonic() - began

    def leave(self):
        """The crowd goes, its last rewards are sent, and what clients still hold is delivered. Returns what became of all."""
        self._leaving.set()
        for thread in self._threads:
            thread.join()
        for event in self._due:
            self._reward(random.Random(event), event)
        delivered = [client.flush(WAIT_SECONDS) for client in self.clients]
        refused = [refusal for client in self.clients for refusal in client.refusals()]
        for client in self.clients:
            client.close()
        return {"delivered": all(delivered), "refused": refused, "errors": self.errors, "fates": dict(self.fates)}

    def _come(self, seed):
        rng, batch = random.Random(seed), itertools.count()
        try:
            while not self._leaving.is_set():
                for request in apps.sample().requests(AT_ONCE, seed=1000 * seed + next(batch)):
                    if self._leaving.wait(BETWEEN_SECONDS):
                        return
                    self._visit(rng, request)
        except Exception as error:
            self.errors.append(f"{type(error).__name__}: {error}")

    def _visit(self, rng, request):
        self.asked.add(request.event_id)
        event = self._decided(rng, request)
        if event == request.event_id and rng.random() < 0.1:
            self.again.add(event)
            self._decided(rng, request)
        else:
            self._due.append(event)
        if len(self._due) > LAG:
            self._reward(rng, self._due.popleft())

    def _decided(self, rng, request):
        """Asks a random host; returns the event, which has another id where the client decided by itself."""
        host = rng.randrange(len(self.machines))
        self.machines[host].share()
        begun = time.time()
        chosen = self.clients[host].select(**asked(request))
        over = time.time()
        self.answered.setdefault(chosen.event_id, (chosen.arm, chosen.propensity))
        if chosen.role == FALLBACK and chosen.event_id != request.event_id:
            self.own.add(chosen.event_id)
            return chosen.event_id
        self.seen.append(Seen(host, begun, over, request.unit_id, chosen.role))
        self.served[host] += 1
        return chosen.event_id

    def _reward(self, rng, event):
        number = next(self._numbers)
        for _ in range(1 + (number % 3 == 0)):
            fate = rng.choice(self.clients).reward(**reward(number, event)).status
            assert fate in LEARNT, fate
            self.fates[fate] += 1
        self.rewarded.add(event)
