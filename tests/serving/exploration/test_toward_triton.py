"""Exploration toward a candidate behind a real Triton: the answers of one's own process, derived again by replay."""

import numpy as np
import pytest

from croupier import Client, Embedded
from croupier.features.spec import RewardSpec
from croupier.features.store import layout
from croupier.serving.decide.replay import replay
from croupier.serving.operate import deployment
from croupier.serving.release import bundle
from croupier.serving.release.exploration.toward import Toward
from croupier.serving.triton.server import Ports, TritonServer
from tests.serving import apps
from tests.serving.embedded.shop import opened, publish

N = 300


@pytest.mark.slow
def test_triton_explores_as_embedded_does(tmp_path, monkeypatch):
    store = tmp_path / "store"
    served = opened(tmp_path / "triton-host", store=str(store))
    toward = Toward(policy=apps.trained("vw_cb_adf"), share=0.5)
    number = publish(served, apps.trained("lin_ts"), toward=toward)
    own = opened(tmp_path / "own-host", store=str(store))
    deployment.follow(served.store, served.home, triton=None)
    (own.home / layout.UNIT_KEY).write_text(served.unit_key)
    (own.home / layout.UNIT_KEY).chmod(0o600)
    monkeypatch.setenv("CROUPIER_STORE", str(store))
    monkeypatch.setenv("CROUPIER_PATIENCE_MS", "60000")  # of a busy machine
    requests = apps.sample().requests(N, strange=True)
    with TritonServer(served.home, ports=Ports.free()) as triton, Client(triton.grpc, deadline_ms=30_000) as client:
        by_triton = [a for start in range(0, N, 100) for a in client.select_batch(requests[start : start + 100])]
    with Embedded("shop", var=tmp_path / "own-host") as shop:
        by_itself = shop.select_batch(requests)
    assert [(a.arm, a.role, a.error) for a in by_triton] == [(b.arm, b.role, b.error) for b in by_itself]
    assert {a.role for a in by_triton} == {"champion"}
    for one, other in zip(by_triton, by_itself, strict=True):
        np.testing.assert_allclose(one.pmf, other.pmf, atol=1e-6)
    spool = served.spool()
    found = spool.find([a.event_id for a in by_triton])
    assert {d.fallback_reason for d in found.values()} == {""}
    assert min(min(d.pmf) * len(d.arms) for d in found.values()) == pytest.approx(0.01, rel=0.01), "half of ε = .02"
    release = bundle.load(layout.served(served.home, number))
    for decision in list(found.values())[:50]:
        steps = replay(decision, load=lambda _: release, spool=spool, spec=RewardSpec())
        assert all(s.holds for s in steps), steps
    spool.close()
