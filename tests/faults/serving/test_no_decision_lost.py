"""Real clients, a real Triton, kill -9 of its python stub and of the whole server at random moments: every decision that
was answered is in the log, once, and nothing else is."""

import os
import random
import signal
import threading
import time

import pytest

from croupier.features.log.spool import Spool
from croupier.models.baselines import Uniform
from croupier.serving.client.client import Client
from croupier.serving.client.errors import Unavailable
from croupier.serving.triton.server import Ports, TritonServer
from tests.faults.durability import Found, judge
from tests.faults.processes import stubs
from tests.serving import apps

CLIENTS, RATE = 4, 500  # decisions/s of all clients together


class Caller(threading.Thread):
    """Asks with event ids of its own at a steady rate; no fallback, so an answer is the server's."""

    def __init__(self, url, name):
        super().__init__(name=name)
        self.url, self.stopping, self.asked, self.acknowledged = url, threading.Event(), [], []

    def run(self):
        requests, due = apps.sample().requests(64), time.monotonic()
        with Client(self.url, deadline_ms=500, fallback=None) as client:
            while not self.stopping.is_set():
                event, r = f"{self.name}-{len(self.asked)}", requests[len(self.asked) % 64]
                self.asked.append(event)
                try:
                    answer = client.select(
                        unit_id=r.unit_id, context=r.context, arms=r.arms, arm_context=r.arm_context, event_id=event
                    )
                    self.acknowledged.append(answer.event_id)
                except Unavailable:
                    time.sleep(0.05)
                due = max(due + CLIENTS / RATE, time.monotonic() - 0.1)
                time.sleep(max(0.0, due - time.monotonic()))


def logged(home):
    spool = Spool(home / "spool" / "log.db")
    ids = [event for (event,) in spool.db.execute("SELECT event_id FROM decisions")]
    spool.close()
    return [event for event in ids if event.startswith("caller")]  # the server's own warm-up has other names


@pytest.mark.timeout(3600)
@pytest.mark.slow
@pytest.mark.parametrize("rounds", [2, pytest.param(25, marks=pytest.mark.full)])
def test_no_answered_decision_is_lost(tmp_path, rounds):
    """Each round kills a stub, then the server: two random points."""
    rng = random.Random(rounds)
    apps.write(tmp_path, Uniform())
    triton = TritonServer(tmp_path, ports=Ports.free())
    callers = []
    try:
        for turn in range(rounds):
            triton.start()
            now = [Caller(triton.grpc, f"caller{turn}-{i}") for i in range(CLIENTS)]
            callers += now
            for caller in now:
                caller.start()
            time.sleep(0.3 + rng.random())
            os.kill(rng.choice(stubs(triton.process.pid, "select_arm")), signal.SIGKILL)
            time.sleep(0.3 + rng.random())
            os.killpg(triton.process.pid, signal.SIGKILL)
            time.sleep(0.1)
            for caller in now:
                caller.stopping.set()
            for caller in now:
                caller.join()
            triton.stop()
    finally:
        for caller in callers:
            caller.stopping.set()
        triton.stop()
    asked = [event for caller in callers for event in caller.asked]
    acknowledged = [event for caller in callers for event in caller.acknowledged]
    assert len(acknowledged) > 100 * rounds
    assert len(asked) > len(acknowledged)  # the kills were felt
    assert judge(asked=asked, acknowledged=acknowledged, logged=logged(tmp_path)) == Found((), (), ())
