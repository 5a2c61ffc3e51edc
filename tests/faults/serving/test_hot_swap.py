"""Releases change on a real Triton under load: no request fails, and every logged release is the one that served it."""

import threading
import time
from collections import Counter

import numpy as np
import pytest
import tritonclient.grpc as triton_grpc

from croupier.features.encoding.encoder import Encoder
from croupier.features.log.spool import Spool
from croupier.features.schema import Arm
from croupier.features.spec import AppSpec
from croupier.features.store.storage import open_store
from croupier.models.baselines import FixedArm
from croupier.serving.operate import publish, trial
from croupier.serving.release import bundle
from croupier.serving.release.golden import Golden
from croupier.serving.triton.server import Ports
from tests.faults.hiccups import Hiccups
from tests.serving.ended_at_once import EndedAtOnce

SPEC = AppSpec.model_validate({"context": {"age": {"type": "numeric"}}, "arm": {"price": {"type": "numeric"}}})
ARMS = [Arm(arm_id=f"a{i}", features={"price": float(i)}) for i in range(7)]
REQUEST = Golden(context={"age": 1.0}, arms=tuple(a.arm_id for a in ARMS), arm_context=(), role="", pmf=())
pytestmark = [pytest.mark.slow, pytest.mark.alone]


def build(folder, number):
    """Release N prefers arm N mod 7, so an answer shows which release made it."""
    bundle.write_release(
        folder,
        number=number,
        champion=FixedArm(arm=f"a{number % 7}"),
        candidate=None,
        arms=ARMS,
        floor=0.07,
        encoder=Encoder.empty(SPEC, ARMS),
        meta={},
        golden=[{"context": {"age": 1.0}, "arms": list(REQUEST.arms)}],
    )


class Load(threading.Thread):
    """One client that asks until it is told to stop, and keeps (event, release, likeliest arm, seconds)."""

    def __init__(self, url, name):
        super().__init__(name=name)
        self.url, self.stopping, self.answers, self.failures = url, threading.Event(), [], []

    def run(self):
        with triton_grpc.InferenceServerClient(self.url) as client:
            while not self.stopping.is_set():
                event, began = f"{self.name}-{len(self.answers)}-{len(self.failures)}", time.monotonic()
                try:
                    answer = trial.ask(client, "select_arm", f"unit-{event}", REQUEST, event)
                except Exception as error:
                    self.failures.append(f"{time.monotonic() - began:.3f} s: {error}")
                    continue
                pmf = answer.as_numpy("pmf")[0][: len(REQUEST.arms)]
                served = int(answer.as_numpy("release").item())
                self.answers.append((event, served, int(pmf.argmax()), time.monotonic() - began))


def p99(answers):
    return float(np.quantile([seconds for *_, seconds in answers], 0.99))


@pytest.mark.parametrize(
    ("releases", "requests"), [(3, 1000), pytest.param(50, 20_000, marks=[pytest.mark.full, pytest.mark.timeout(1800)])]
)
def test_releases_change_under_load_and_nobody_notices(tmp_path, releases, requests):
    store, home = open_store(str(tmp_path / "store")), tmp_path / "home"
    publish.publish(store, home, build, triton=None)
    with EndedAtOnce(home, ports=Ports.free()) as server:
        clients = [Load(server.grpc, f"c{i}") for i in range(2)]
        [c.start() for c in clients]
        time.sleep(2)
        steady = [len(c.answers) for c in clients]
        with Hiccups() as machine:
            for _ in range(releases):
                publish.publish(store, home, build, triton=server.grpc)
        while sum(len(c.answers) for c in clients) < requests or {c.answers[-1][1] for c in clients} != {releases + 1}:
            time.sleep(0.1)
        [c.stopping.set() for c in clients]
        [c.join() for c in clients]
    answers = [a for c in clients for a in c.answers]
    calm = [a for c, n in zip(clients, steady, strict=True) for a in c.answers[:n]]
    swapping = [a for c, n in zip(clients, steady, strict=True) for a in c.answers[n:]]
    print(
        f"\n{releases} releases, {len(answers)} requests, p99 {1e3 * p99(calm):.1f} ms steady, "
        f"{1e3 * p99(swapping):.1f} ms swapping ({p99(swapping) / p99(calm):.2f}x, hiccups to {machine.worst_ms:.0f} ms)"
    )
    assert [f for c in clients for f in c.failures] == []
    assert p99(swapping) <= 3 * p99(calm) + machine.worst_ms / 1e3
    assert {served for _, served, *_ in answers} == set(range(1, releases + 2)), "each release served some"
    assert all(arm == served % 7 for _, served, arm, _ in answers), "an answer is made by the release it names"
    spool = Spool(home / "spool" / "log.db")
    logged = {}
    for start in range(0, len(answers), 500):
        logged |= spool.find([event for event, *_ in answers[start : start + 500]])
    spool.close()
    assert {e: d.release for e, d in logged.items()} == {e: served for e, served, *_ in answers}
    for client in clients:
        numbers = [served for _, served, *_ in client.answers]
        assert numbers == sorted(numbers), Counter(numbers)


def test_a_tampered_release_is_refused_by_the_server_too_and_the_old_one_serves_on(tmp_path):
    """Past our own checks: bytes changed in Triton's repository itself, after the checks."""
    store, home = open_store(str(tmp_path / "store")), tmp_path / "home"
    publish.publish(store, home, build, triton=None)
    with EndedAtOnce(home, ports=Ports.free()) as server:
        publish.publish(store, home, build, triton=None)
        policy = home / "triton" / "select_arm" / "2" / "champion" / "policy.json"
        policy.write_bytes(policy.read_bytes().replace(b"a2", b"a3"))
        with pytest.raises(Exception, match=r"champion/policy\.json"):
            trial.load_model(server.grpc, "select_arm", home)
        with triton_grpc.InferenceServerClient(server.grpc) as client:
            answer = trial.ask(client, "select_arm", "ann", REQUEST, "")
        assert int(answer.as_numpy("release").item()) == 1
        trial.remove(home / "triton" / "select_arm" / "2")
        number = publish.publish(store, home, build, triton=server.grpc).number
        with triton_grpc.InferenceServerClient(server.grpc) as client:
            answer = trial.ask(client, "select_arm", "ann", REQUEST, "")
        assert int(answer.as_numpy("release").item()) == number
