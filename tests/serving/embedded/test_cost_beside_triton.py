"""What a decision costs in one's own process, and behind Triton: CPU time of all processes that take part, turn by turn,
so that a busy machine says the same as an idle one."""

import time

import numpy as np
import psutil
import pytest

from croupier import Client, Embedded
from croupier.features.store import layout
from croupier.serving.triton.server import Ports
from tests.serving import apps
from tests.serving.embedded.shop import asked, opened, publish
from tests.serving.ended_at_once import EndedAtOnce

ROUNDS, CALLS = 6, 60
MOST = 0.75  # of Triton's CPU: the median of the rounds, which was 0.37 and, each by itself, 0.20 to 0.65


def tree(process):
    """Seconds of CPU that a process and all of its children have spent."""
    found = psutil.Process(process.pid)
    times = [one.cpu_times() for one in (found, *found.children(recursive=True))]
    return sum(t.user + t.system for t in times)


@pytest.mark.slow
def test_one_decision_at_a_time_costs_less_than_behind_triton(tmp_path, monkeypatch):
    """B = 1, K = 20, `NORMAL`: each way's answers are on record when they come, and they are the same arms."""
    monkeypatch.setenv("CROUPIER_DURABILITY", "NORMAL")
    store = tmp_path / "store"
    served, embedding = (opened(tmp_path / name, store=str(store)) for name in ("triton-host", "own-host"))
    publish(served, apps.trained("lin_ts"))
    (embedding.home / layout.UNIT_KEY).write_text(served.unit_key)
    (embedding.home / layout.UNIT_KEY).chmod(0o600)
    monkeypatch.setenv("CROUPIER_STORE", str(store))
    requests = [asked(r) for r in apps.sample().requests((ROUNDS + 1) * CALLS)]
    every = [arm.arm_id for arm in apps.sample().arms]
    own, behind, arms = [], [], []
    with (
        EndedAtOnce(served.home, ports=Ports.free()) as triton,
        Client(triton.grpc, deadline_ms=30_000) as client,
        Embedded("shop", var=tmp_path / "own-host") as shop,
    ):
        for i in range(ROUNDS + 1):  # the first is for warming up
            work = [
                r | {"arms": every, "arm_context": (), "event_id": f"e{i}-{k}"}
                for k, r in enumerate(requests[i * CALLS : (i + 1) * CALLS])
            ]
            began = time.process_time()
            mine = [shop.select(**r).arm for r in work]
            own.append(time.process_time() - began)
            before, began = tree(triton.process), time.process_time()
            theirs = [client.select(**r).arm for r in work]
            behind.append(tree(triton.process) - before + time.process_time() - began)
            arms.append((mine, theirs))
    assert all(mine == theirs for mine, theirs in arms)
    ratio = np.array(own[1:]) / np.array(behind[1:])
    told = f"{np.median(own[1:]) / CALLS * 1e6:.0f} µs of CPU against {np.median(behind[1:]) / CALLS * 1e6:.0f} µs"
    print(f"one decision: {told}, ratio {np.median(ratio):.2f} ({ratio.min():.2f}–{ratio.max():.2f})")
    assert np.median(ratio) <= MOST, told
