"""The client always answers: stub killed, server stopped, network gone or mad. Every call within the deadline, every
fallback on record once the server is back, and then model decisions again."""

import os
import signal
import threading
import time
from dataclasses import replace

import pytest

from croupier.features.log.spool import Spool
from croupier.models.baselines import Uniform
from croupier.serving.client.client import Client
from croupier.serving.client.fallback import uniform
from croupier.serving.contract.requests import Request
from croupier.serving.triton.server import Ports
from tests.faults.hiccups import Hiccups
from tests.faults.processes import stubs
from tests.faults.proxy import Proxy
from tests.serving import apps
from tests.serving.ended_at_once import EndedAtOnce

pytestmark = [pytest.mark.slow, pytest.mark.alone]
DEADLINE_MS = 50.0
GRACE_MS = 10.0
INSTANCES = 2  # of select_arm
FAULTS = ("stubs killed", "server stopped", "black_hole", "reset", "delay", "garbage")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    home = tmp_path_factory.mktemp("app")
    apps.write(home, Uniform())
    with EndedAtOnce(home, ports=Ports.free()) as made:
        yield made


@pytest.fixture
def triton(server):
    """Whole, whatever the test before has killed of it."""
    if len(stubs(server.process.pid, "select_arm")) < INSTANCES:
        server.stop()
        server.start()
    return server


def break_it(triton, proxy, fault):
    if fault == "stubs killed":
        for pid in stubs(triton.process.pid, "select_arm"):
            os.kill(pid, signal.SIGKILL)
    elif fault == "server stopped":
        os.killpg(triton.process.pid, signal.SIGSTOP)
    else:
        proxy.set(fault)


def repair(triton, proxy, fault):
    if fault == "stubs killed":
        triton.stop()
        triton.start()
    elif fault == "server stopped":
        os.killpg(triton.process.pid, signal.SIGCONT)
    else:
        proxy.set("pass")


def own(request):
    """A product's own rule: the later in the list, the likelier."""
    total = len(request.arms) * (len(request.arms) + 1) / 2
    return [(i + 1) / total for i in range(len(request.arms))]


def by_rule(rule, arms):
    return (
        uniform(Request(unit_id="u", context={}, arms=arms))
        if rule is None
        else rule(Request(unit_id="u", context={}, arms=arms))
    )


@pytest.mark.parametrize(
    ("fault", "rule"), [*((fault, None) for fault in FAULTS), ("reset", own), ("stubs killed", own)]
)
def test_every_call_is_answered_recorded_and_delivered(triton, tmp_path, fault, rule):
    proxy = Proxy(triton.grpc)
    chosen_by = {} if rule is None else {"fallback": rule}
    requests = [replace(r, event_id="") for r in apps.sample().requests(64)]
    answers, asked, late, opened = [], {}, [], []

    def call(client, i):
        began = time.perf_counter()
        r = requests[i % 64]
        chosen = client.select(unit_id=r.unit_id, context=r.context, arms=r.arms, arm_context=r.arm_context)
        late.append((time.perf_counter() - began) * 1e3)
        answers.append(chosen)
        asked[id(chosen)] = list(r.arms)
        return chosen

    outbox = tmp_path / "outbox.db"
    with Hiccups() as machine, Client(proxy.url, deadline_ms=DEADLINE_MS, outbox=outbox, **chosen_by) as client:
        for i in range(2000):  # as many as a busy machine takes: it misses a deadline or two
            if [a.role for a in answers].count("champion") > 80:
                break
            call(client, i)
        assert [a.role for a in answers].count("champion") > 80
        late.clear()
        break_it(triton, proxy, fault)
        broken, soon = time.monotonic(), machine.within(1.0)
        for i in range(150):
            call(client, i)
            if client.breaker.is_open and not opened:
                opened.append(time.monotonic() - broken)
                assert soon(), f"the breaker opened after {opened[0]:.1f} s ({machine.lost_s:.1f} s lost)"
            time.sleep(0.01)
        assert opened, "the breaker never opened"
        fallbacks = [a for a in answers if a.role == "fallback"]
        assert len(fallbacks) > 100
        for a in fallbacks:
            assert a.pmf == pytest.approx(by_rule(rule, asked[id(a)]))
            assert a.propensity == a.pmf[asked[id(a)].index(a.arm)]
        queued = client.reward(event_id=fallbacks[0].event_id, kind="click", value=1.0)
        assert queued.status == "queued"
        repair(triton, proxy, fault)
        in_time = machine.within(5.0)
        while call(client, 0).role != "champion":
            state = (
                f"breaker open: {client.breaker.is_open}, share {client.throttle.share:.3f}, owed {len(client.outbox)}"
            )
            assert in_time(), f"no model decision 5 s after the repair ({state}, {machine.lost_s:.1f} s lost)"
            time.sleep(0.02)
        fallbacks = [a for a in answers if a.role == "fallback"]
        assert client.flush(60.0)
        allowed = DEADLINE_MS + GRACE_MS + machine.worst_ms  # idle machines keep nobody waiting
        print({"fault": fault, "slowest_ms": max(late), "breaker_s": opened[0], "machine_ms": machine.worst_ms})
        assert max(late) <= allowed, f"slowest answer {max(late):.1f} ms"
    proxy.close()
    spool = Spool(triton.home / "spool" / "log.db")
    stored = spool.find([a.event_id for a in answers])
    assert len(stored) == len(answers)  # every answer, model's or fallback's, is on record
    for a in fallbacks:
        d = stored[a.event_id]
        assert (d.role, d.arm, d.propensity, d.policy, d.release) == ("fallback", a.arm, a.propensity, "client", 0)
        assert d.pmf == pytest.approx(by_rule(rule, list(d.arms)))
        assert d.fallback_reason in {
            "breaker",
            "overload",
            "deadline_exceeded",
            "unavailable",
            "internal",
            "unknown",
            "cancelled",
        }
    spool.close()


def test_one_dead_stub_is_not_an_outage(triton):
    """Two instances: after one is killed the other answers; a short pause is filled by fallbacks."""
    requests = apps.sample().requests(64)
    roles, stop = [], threading.Event()

    def traffic():
        with Client(triton.grpc, deadline_ms=250) as client:
            while not stop.is_set():
                r = requests[len(roles) % 64]
                chosen = client.select(unit_id=r.unit_id, context=r.context, arms=r.arms, arm_context=r.arm_context)
                roles.append(chosen.role)
                time.sleep(0.005)  # else a pause of a second is filled by more fallbacks than there are answers in ten

    workers = [threading.Thread(target=traffic) for _ in range(4)]
    for w in workers:
        w.start()
    time.sleep(1)
    os.kill(stubs(triton.process.pid, "select_arm")[0], signal.SIGKILL)
    time.sleep(8)
    stop.set()
    for w in workers:
        w.join()
    assert roles.count("champion") / len(roles) > 0.75
