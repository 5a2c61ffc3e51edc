"""While a server has five times the clients that reach its peak, what breaks the contract is refused at once, and a client
that holds a call back answers at once. Times are those for which the server's process, or the client's thread, had a
processor: how long they waited for one is the machine's affair."""

import itertools
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from croupier.models.baselines import Uniform
from croupier.serving.client.client import Client
from croupier.serving.client.messages import record_columns, reward_columns
from croupier.serving.contract.rewards import RawReward
from croupier.serving.triton.server import Ports, TritonServer
from tests.faults.processes import stubs
from tests.serving import apps

pytestmark = [pytest.mark.slow, pytest.mark.alone]
LIMIT_MS = 10.0
CALLERS, REFUSALS = 40, 100


class Held(Client):
    """Knows why each call fell back, and how much of its thread's time a call took."""

    def __init__(self, url):
        super().__init__(url, deadline_ms=100.0)
        self.calls = []

    def fall_back(self, rows, requests, error):
        self.reason = error.reason
        return super().fall_back(rows, requests, error)

    def timed(self, request):
        self.reason, began = "", time.thread_time()
        self.select(
            unit_id=request.unit_id, context=request.context, arms=request.arms, arm_context=request.arm_context
        )
        self.calls.append((self.reason, (time.thread_time() - began) * 1e3))


def flood(url, stop, found):
    """Clients without a pause: more than can be answered."""
    requests = itertools.cycle(apps.sample().requests(64))
    with Held(url) as client:
        while not stop.is_set():
            client.timed(next(requests))
        found.extend(client.calls)


def own_ms(pid):
    """Milliseconds for which a process has had a processor, all of its threads together, to the nanosecond."""
    return sum(int((task / "schedstat").read_text().split()[0]) for task in Path(f"/proc/{pid}/task").iterdir()) / 1e6


def wrong(model, i):
    """Columns that break the contract, each another way."""
    if model == "reward":
        kind, value = (b"click", float("nan")) if i % 2 else (b"", 1.0)
        return reward_columns([RawReward(f"e{i}".encode(), kind, value)])
    row = {"unit_id": "u", "context": "{}", "arms": '["reel-01", "reel-02"]', "arm_context": "", "event_id": f"r{i}",
           "arm": "reel-01" if i % 2 else "reel-09", "pmf": [0.5, 0.6] if i % 2 else [0.5, 0.5], "at": i, "reason": "down"}  # fmt: skip
    return record_columns([row])


def test_refusals_take_less_than_ten_milliseconds(tmp_path):
    apps.write(tmp_path, Uniform())
    stop, found, took = threading.Event(), [], {"reward": [], "record": []}
    with TritonServer(tmp_path, ports=Ports.free()) as triton:
        callers = [threading.Thread(target=flood, args=(triton.grpc, stop, found)) for _ in range(CALLERS)]
        [caller.start() for caller in callers]
        try:
            of = {model: stubs(triton.process.pid, model)[0] for model in took}
            with Client(triton.grpc) as asking:
                for i in range(REFUSALS):
                    for model, times in took.items():
                        before = own_ms(of[model])
                        reply = asking.call(model, wrong(model, i), timeout_ms=20_000)
                        times.append(own_ms(of[model]) - before)
                        assert reply["status"] == ["rejected"]
                        assert reply["error"][0] != ""
        finally:
            stop.set()
            [caller.join() for caller in callers]
    held = [ms for reason, ms in found if reason in ("overload", "breaker")]
    middle = {model: float(np.median(times)) for model, times in took.items()} | {"held back": float(np.median(held))}
    print(f"\nmedian ms: {middle}; {len(held)} of {len(found)} calls held back")
    assert len(held) > 100, "there was no overload"
    assert min(middle.values()) > 0
    assert max(middle.values()) < LIMIT_MS
