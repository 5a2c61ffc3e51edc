"""More asked than can be done: what is answered by the model stays near the peak, the rest falls back fast, memory does
not grow, and it is over when the load is."""

import multiprocessing as mp
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from croupier.models.baselines import Uniform
from croupier.serving.client.client import Client
from croupier.serving.triton.server import Ports
from tests.faults.hiccups import Hiccups
from tests.serving import apps
from tests.serving.ended_at_once import EndedAtOnce

DEADLINE_MS = 100.0


def load(url, threads, seconds, pace, results):
    """Closed-loop clients in a process of their own: (role, ms, when) of every call, and how long a thread that does
    nothing but sleep had to wait there, for the machine and for the other threads of its interpreter."""
    deadline_ms, pause = pace
    requests = apps.sample().requests(64)
    done = []

    def work(i):
        with Client(url, deadline_ms=deadline_ms) as client:
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                r = requests[(i + len(done)) % 64]
                began = time.perf_counter()
                chosen = client.select(unit_id=r.unit_id, context=r.context, arms=r.arms, arm_context=r.arm_context)
                done.append((chosen.role, (time.perf_counter() - began) * 1e3, time.monotonic()))
                if chosen.role == "fallback":
                    time.sleep(pause)  # a product's own pace; a fallback takes microseconds

    workers = [threading.Thread(target=work, args=(i,)) for i in range(threads)]
    with Hiccups() as idle:
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    results.put((done, idle.worst_ms))


def run(url, *, processes, threads, seconds, deadline_ms=DEADLINE_MS, pause=0.01):
    context = mp.get_context("spawn")
    results = context.Queue()
    workers = [
        context.Process(target=load, args=(url, threads, seconds, (deadline_ms, pause), results))
        for _ in range(processes)
    ]
    for worker in workers:
        worker.start()
    found = [results.get(timeout=seconds + 120) for _ in workers]
    for worker in workers:
        worker.join()
    return [call for calls, _ in found for call in calls], max(waited for _, waited in found)


def memory(group):
    """Summed RSS of the server's processes, MB."""
    total = 0
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and int((entry / "stat").read_text().rpartition(")")[2].split()[2]) == group:
                total += int((entry / "statm").read_text().split()[1]) * 4096
        except OSError:
            continue
    return total / 1e6


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.parametrize("seconds", [4, pytest.param(30, marks=pytest.mark.full)])
def test_five_times_the_clients_that_reach_the_peak(tmp_path, seconds):
    apps.write(tmp_path, Uniform())
    with EndedAtOnce(tmp_path, ports=Ports.free()) as triton:
        with Client(
            triton.grpc, deadline_ms=10_000
        ) as client:  # what is made at the first calls is no part of the peak
            for _ in range(200):
                client.select(unit_id="u", context={}, arms=["reel-01", "reel-02"])
        peak, _ = run(triton.grpc, processes=1, threads=8, seconds=seconds)
        # The same overload on a fast machine and a slow one: five times the callers, who ask five times the peak in all.
        deadline = max(DEADLINE_MS, 4 * float(np.median([ms for role, ms, _ in peak if role == "champion"])))
        good = sum(role == "champion" for role, *_ in peak) / seconds
        before = memory(triton.process.pid)
        pace = {"deadline_ms": deadline, "pause": 40 / (5 * good)}
        over, waited = run(triton.grpc, processes=2, threads=20, seconds=seconds, **pace)
        after = memory(triton.process.pid)
        with Client(triton.grpc, deadline_ms=DEADLINE_MS) as client:
            began = time.monotonic()
            while client.select(unit_id="u", context={}, arms=["reel-01"]).role != "champion":
                assert time.monotonic() - began < 2.0, "not recovered 2 s after the overload"
    goodput = sum(role == "champion" for role, *_ in over) / seconds
    slow = np.quantile([ms for _, ms, _ in over], 0.99)
    print(
        {
            "deadline_ms": deadline,
            "peak_per_s": good,
            "goodput_per_s": goodput,
            "p99_ms": slow,
            "waited_ms": waited,
            "memory_growth_mb": after - before,
        }
    )
    assert goodput > 0.8 * good
    assert slow < deadline + 50 + waited
    assert after - before < 50
