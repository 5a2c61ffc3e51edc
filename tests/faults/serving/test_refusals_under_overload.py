"""While a server is asked for more than it can answer in time, a client holds its calls back: each is decided by the fallback
rule at once, and on record afterwards. What breaks the contract is refused as cheaply as ever. Held back is measured against
what a call waits that is sent in the same run, and in the caller's own processor time: a busy machine is not its affair.

The load is calls that are never given up: the wheel's Triton dies of cancelled ones (README.md, "Cancelled calls")."""

import multiprocessing as mp
import threading
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import orjson
import pytest

from croupier.features.log.spool import Spool
from croupier.models.baselines import Uniform
from croupier.serving.client import messages
from croupier.serving.client.client import Client
from croupier.serving.contract.requests import Raw
from croupier.serving.contract.rewards import RawReward
from croupier.serving.triton.server import Ports
from tests.faults.processes import stubs
from tests.serving import apps
from tests.serving.ended_at_once import EndedAtOnce

pytestmark = [pytest.mark.slow, pytest.mark.alone]
LIMIT_MS = 10.0  # of processor
IN_FLIGHT, ROWS, PATIENCE_MS = 16, 64, 120_000
CALLS, REFUSALS = 400, 20


def flood(url, stop, begun):
    """Large calls, always IN_FLIGHT of them: the server's queue is never empty."""
    raws = [Raw.of(replace(request, event_id="")) for request in apps.sample().requests(ROWS)]
    columns = messages.select_columns(raws)

    def ask():
        with Client(url) as client:
            while not stop.is_set():
                client.call("select_arm", columns, timeout_ms=PATIENCE_MS)
                begun.set()

    threads = [threading.Thread(target=ask) for _ in range(IN_FLIGHT)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()


class Watched(Client):
    """Knows why its last call fell back ("": it did not)."""

    why = ""

    def fall_back(self, rows, requests, error):
        self.why = error.reason
        return super().fall_back(rows, requests, error)


def waits(url):
    """Milliseconds that patient calls of one row take now."""
    columns, taken = messages.select_columns([Raw.of(replace(apps.sample().requests(1)[0], event_id=""))]), []
    with Client(url) as client:
        for _ in range(7):
            began = time.perf_counter()
            client.call("select_arm", columns, timeout_ms=PATIENCE_MS)
            taken.append((time.perf_counter() - began) * 1e3)
    return taken


def asked(client):
    """(why, milliseconds, of them with a processor, candidates, answer) of each call."""
    found = []
    for i in range(CALLS):
        request = apps.sample().requests(64)[i % 64]
        client.why, own, began = "", time.thread_time(), time.perf_counter()
        answer = client.select(
            unit_id=request.unit_id, context=request.context, arms=request.arms, arm_context=request.arm_context
        )
        took, own = (time.perf_counter() - began) * 1e3, (time.thread_time() - own) * 1e3
        found.append((client.why, took, own, len(request.arms), answer))
        time.sleep(0.005)
    return found


def own_ms(pid):
    """Milliseconds for which a process has had a processor, all of its threads together."""
    return sum(int((task / "schedstat").read_text().split()[0]) for task in Path(f"/proc/{pid}/task").iterdir()) / 1e6


def wrong(model, i):
    """Columns that break the contract, each another way."""
    if model == "reward":
        kind, value = (b"click", float("nan")) if i % 2 else (b"", 1.0)
        return messages.reward_columns([RawReward(f"e{i}".encode(), kind, value)])
    row = {"unit_id": "u", "context": "{}", "arms": '["reel-01", "reel-02"]', "arm_context": "", "event_id": f"r{i}",
           "arm": "reel-01" if i % 2 else "reel-09", "pmf": [0.5, 0.6] if i % 2 else [0.5, 0.5], "at": i, "reason": "down"}  # fmt: skip
    return messages.record_columns([row])


def refused(triton, model):
    """Milliseconds of processor that the model's process took for each refusal."""
    (pid,) = stubs(triton.process.pid, model)
    taken = []
    with Client(triton.grpc) as client:
        for i in range(REFUSALS):
            before = own_ms(pid)
            reply = client.call(model, wrong(model, i), timeout_ms=PATIENCE_MS)
            taken.append(own_ms(pid) - before)
            assert reply["status"] == ["rejected"]
            assert reply["error"][0] != ""
    return taken


@pytest.fixture
def overloaded(tmp_path):
    """(home, server, how to end the load)."""
    apps.write(tmp_path, Uniform())
    context = mp.get_context("spawn")
    stop, begun = context.Event(), context.Event()
    with EndedAtOnce(tmp_path, ports=Ports.free()) as triton:
        load = context.Process(target=flood, args=(triton.grpc, stop, begun))
        load.start()

        def end():
            stop.set()
            load.join()

        try:
            assert begun.wait(120), "the load did not begin"
            yield tmp_path, triton, end
        finally:
            end()


def test_calls_held_back_under_overload_are_decided_at_once_and_recorded(overloaded, tmp_path):
    home, triton, end = overloaded
    patient = float(np.median(waits(triton.grpc)))
    with Watched(triton.grpc, deadline_ms=patient / 4, outbox=tmp_path / "outbox.db") as client:
        calls = asked(client)
        costs = {model: float(np.median(refused(triton, model))) for model in ("reward", "record")}
        end()
        assert client.flush(60.0)
    held = [call for call in calls if call[0] in ("overload", "breaker")]
    assert len(held) > CALLS / 2, "there was no overload, or nothing was held back"
    middle, own = (float(np.median([call[i] for call in held])) for i in (1, 2))
    why = dict(Counter(call[0] for call in calls))
    print(
        f"\n{why}; held back {middle:.2f} ms, {own:.2f} of processor; a call waits {patient:.0f} ms; refusals {costs}"
    )
    assert "deadline_exceeded" in why, "nothing was tried"
    assert own < LIMIT_MS
    assert middle < patient / 10
    assert 0 < min(costs.values()) <= max(costs.values()) < LIMIT_MS
    fallbacks = {answer.event_id: answer for reason, *_, answer in calls if reason}
    for reason, _, _, candidates, answer in calls:
        assert answer.role == ("fallback" if reason else "champion")
        assert answer.propensity == pytest.approx(1 / candidates)
    kept = Counter(event for event in logged(home) if event in fallbacks)
    assert kept == dict.fromkeys(fallbacks, 1)


def logged(home):
    """Event ids of the decisions in a server's log."""
    spool = Spool(home / "spool" / "log.db")
    found = [orjson.loads(body)["event_id"] for _, body in spool.read("decisions", limit=10**9)]
    spool.close()
    return found
