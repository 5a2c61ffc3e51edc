"""A candidate that raises, gives no numbers, or takes 200 ms, in a real Triton: nobody sees an error, and who is with the
champion hardly notices."""

import threading
import time

import numpy as np
import pytest

from croupier.features.log.spool import Spool
from croupier.features.schema import CANDIDATE, CHAMPION
from croupier.models.baselines import FixedArm
from croupier.serving.client.client import Client
from croupier.serving.release import bundle
from croupier.serving.release.rollout_state import in_candidate
from croupier.serving.triton.server import Ports
from tests.faults.hiccups import Hiccups
from tests.serving import apps
from tests.serving.ended_at_once import EndedAtOnce

# what misbehaves is told by a file, so that one server is measured before and after
PLANTED = """

_initialize = TritonPythonModel.initialize

def initialize(self, args):
    import time
    from pathlib import Path
    _initialize(self, args)
    kind = type(self.service.selector.release.candidate)
    home, well = Path(args["model_repository"]).parents[1], kind.pmf
    def pmf(policy, batch):
        fault = (home / "fault").read_text()
        if fault == "raises":
            raise RuntimeError("out of memory")
        if fault == "200 ms more":
            time.sleep(0.2)
        return well(policy, batch) * (float("nan") if fault == "NaN" else 1.0)
    kind.pmf = pmf

TritonPythonModel.initialize = initialize
"""
RATE, CLIENTS = 80, 4  # calls a second


def calls(url, requests, seconds):
    """(role, seconds) of each, in an open loop: a call's time runs from when it was due."""
    found, began = [], time.perf_counter() + 0.1

    def work(i):
        with Client(url, deadline_ms=10_000) as client:
            for n in range(i, int(RATE * seconds), CLIENTS):
                due = began + n / RATE
                time.sleep(max(0.0, due - time.perf_counter()))
                answer = client.select_batch([requests[n % len(requests)]])[0]
                found.append((answer, time.perf_counter() - due))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(CLIENTS)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    return found


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.parametrize(("seconds", "fault"), [
    (6, "raises"), (6, "200 ms more"),
    *(pytest.param(60, fault, marks=pytest.mark.full) for fault in ("raises", "NaN", "200 ms more")),
])  # fmt: skip
def test_nobody_notices(tmp_path, fault, seconds, monkeypatch):
    model = tmp_path / "model.py"
    model.write_text(bundle.MODEL.read_text() + PLANTED)
    monkeypatch.setattr(bundle, "MODEL", model)
    apps.write(tmp_path, apps.trained("vw_cb_adf"), FixedArm(arm="reel-03"), share=0.5)
    (tmp_path / "fault").write_text("")
    requests = [r for r in apps.sample().requests(3000) if "reel-03" in r.arms]
    requests = [type(r)(unit_id=r.unit_id, context=r.context, arms=r.arms, arm_context=r.arm_context) for r in requests]
    with EndedAtOnce(tmp_path, ports=Ports.free()) as server, Hiccups() as machine:
        calls(server.grpc, requests, 1)
        steady = calls(server.grpc, requests, seconds / 2)
        (tmp_path / "fault").write_text(fault)
        faulty = calls(server.grpc, requests, seconds)
    assert {a.error for a, _ in steady + faulty} == {""}
    with_champion = [[s for a, s in found if a.role == "champion"] for found in (steady, faulty)]
    calm, after = (float(np.quantile(times, 0.99)) for times in with_champion)
    spool = Spool(tmp_path / "spool" / "log.db")
    logged = spool.find([a.event_id for a, _ in faulty])
    before = spool.find([a.event_id for a, _ in steady]).values()
    spool.close()
    roles = {d.unit_id: CANDIDATE if in_candidate("rollout-1", d.unit_id, 0.5) else CHAMPION for d in before}
    assert {(d.unit_id, d.role) for d in before} == set(roles.items())
    assert {CANDIDATE, CHAMPION} == set(roles.values())
    late = [d for d in logged.values() if d.role == "fallback"]
    print(
        f"\n{fault}: {len(late)} of {len(faulty)} fell back, champion's p99 {1e3 * calm:.1f} ms steady, {1e3 * after:.1f} ms "
        f"after ({after / calm:.2f}x, hiccups to {machine.worst_ms:.0f} ms)"
    )
    assert len(logged) == len(faulty)
    assert 0 < len(late) < len(faulty) / 4
    kind = {"raises": "RuntimeError", "NaN": "PolicyFailed", "200 ms more": "TooSlow"}[fault]
    assert {d.fallback_reason.split(": ")[1] for d in late} == {kind}
    assert {d.policy for d in late} == {"vw_cb_adf"}
    assert {a.role for a, _ in faulty[-len(faulty) // 4 :]} == {"champion"}, "the breaker is open"
    assert after <= 2 * calm + machine.worst_ms / 1e3
