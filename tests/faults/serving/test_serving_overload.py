"""More asked than can be done: what is answered by the model stays near the peak, the rest falls back fast, memory does
not grow, and it is over when the load is."""

import multiprocessing as mp
import os
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
CALLERS = 40


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


def counted(group):
    """Summed RSS (MB) and CPU (s) of the server's processes."""
    pages = ticks = 0
    for entry in Path("/proc").iterdir():
        try:
            stat = (entry / "stat").read_text().rpartition(")")[2].split() if entry.name.isdigit() else []
            if stat and int(stat[2]) == group:
                ticks += int(stat[11]) + int(stat[12])
                pages += int((entry / "statm").read_text().split()[1])
        except OSError:
            continue
    return pages * 4096 / 1e6, ticks / os.sysconf("SC_CLK_TCK")


def by_model(calls):
    return sum(role == "champion" for role, *_ in calls)


def overloaded(triton, seconds):
    """The peak, then five times its callers, who ask five times the peak in all: on a fast machine and a slow one the
    same overload. What is done is counted by the server's own CPU second, since callers and neighbours take theirs."""
    began = counted(triton.process.pid)
    peak, _ = run(triton.grpc, processes=1, threads=8, seconds=seconds)
    before = counted(triton.process.pid)
    deadline = max(DEADLINE_MS, 4 * float(np.median([ms for role, ms, _ in peak if role == "champion"])))
    pace = {"deadline_ms": deadline, "pause": CALLERS * seconds / (5 * by_model(peak))}
    over, waited = run(triton.grpc, processes=2, threads=CALLERS // 2, seconds=seconds, **pace)
    after = counted(triton.process.pid)
    return {
        "deadline_ms": deadline,
        "peak_per_s": by_model(peak) / seconds,
        "goodput_per_s": by_model(over) / seconds,
        "goodput_by_cpu": by_model(over) / (after[1] - before[1]) * (before[1] - began[1]) / by_model(peak),
        "p99_ms": float(np.quantile([ms for _, ms, _ in over], 0.99)),
        "waited_ms": waited,
        "memory_growth_mb": after[0] - before[0],
    }


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.parametrize("seconds", [4, pytest.param(30, marks=pytest.mark.full)])
def test_five_times_the_clients_that_reach_the_peak(tmp_path, seconds):
    apps.write(tmp_path, Uniform())
    with EndedAtOnce(tmp_path, ports=Ports.free()) as triton:
        run(triton.grpc, processes=1, threads=8, seconds=3)
        for _ in range(5):  # a busy neighbour spoils one look; a server that works for nobody spoils all of them
            found = overloaded(triton, seconds)
            print(found)
            if found["goodput_by_cpu"] > 0.8 and found["p99_ms"] < found["deadline_ms"] + 50 + found["waited_ms"]:
                break
        with Hiccups() as machine, Client(triton.grpc, deadline_ms=DEADLINE_MS) as client:
            in_time = machine.within(2.0)
            while client.select(unit_id="u", context={}, arms=["reel-01"]).role != "champion":
                assert in_time(), f"not recovered 2 s after the overload ({machine.lost_s:.1f} s lost)"
    assert found["goodput_by_cpu"] > 0.8
    assert found["p99_ms"] < found["deadline_ms"] + 50 + found["waited_ms"]
    assert found["memory_growth_mb"] < 50
