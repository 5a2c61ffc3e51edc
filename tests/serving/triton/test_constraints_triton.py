"""Rules and limits behind a real Triton: kept, and the same answers as in one's own process."""

import time

import numpy as np
import pytest

from croupier import Client, Embedded
from croupier.features.spec import RewardSpec
from croupier.features.store import layout
from croupier.models.constraints import kept_multipliers
from croupier.models.constraints.multipliers import Multipliers
from croupier.serving.decide.replay import replay
from croupier.serving.embedded.host import MIRROR_SECONDS
from croupier.serving.operate import deployment
from croupier.serving.release import bundle
from croupier.serving.triton.server import Ports, TritonServer
from tests.serving import apps
from tests.serving.constrained import DECLARED, EXPOSURE, GENRE, broken, declared, left_out
from tests.serving.embedded.shop import publish

SEGMENTS = """
[[constraints]]
name = "sports in Austria"
when.country = ["AT"]
arm.genre = ["sports"]
floor = 0.3

[[constraints]]
name = "tablets explore"
kind = "exploration"
when.device = ["tablet"]
floor = 0.4
"""


@pytest.mark.slow
def test_triton_keeps_them_and_answers_as_embedded_does(tmp_path, monkeypatch):
    store = tmp_path / "store"
    text = DECLARED + EXPOSURE + SEGMENTS
    served = declared(tmp_path / "triton-host", text, store=str(store))
    number = publish(served, apps.trained("neural_linear"), apps.trained("lin_ts"))
    own = declared(tmp_path / "own-host", text, store=str(store))
    prices = Multipliers(version=1, prices={"sports seen floor": 0.1})
    assert kept_multipliers.keep(served.store, kept_multipliers.now(served.store), prices, [])
    deployment.follow(served.store, served.home, triton=None)
    (own.home / layout.UNIT_KEY).write_text(served.unit_key)
    (own.home / layout.UNIT_KEY).chmod(0o600)
    monkeypatch.setenv("CROUPIER_STORE", str(store))
    monkeypatch.setenv("CROUPIER_PATIENCE_MS", "60000")  # of a busy machine
    requests = apps.sample().requests(600, strange=True)
    with TritonServer(served.home, ports=Ports.free()) as triton, Client(triton.grpc, deadline_ms=30_000) as client:
        by_triton = [a for start in range(0, 600, 100) for a in client.select_batch(requests[start : start + 100])]
    with Embedded("shop", var=tmp_path / "own-host") as shop:
        shop.host.look()
        time.sleep(2 * MIRROR_SECONDS)
        by_itself = shop.select_batch(requests)
    assert [(a.arm, a.role, a.error) for a in by_triton] == [(a.arm, a.role, a.error) for a in by_itself]
    answered = [(a, b) for a, b in zip(by_triton, by_itself, strict=True) if not a.error]
    assert len(answered) > 500
    for one, other in answered:
        np.testing.assert_allclose(one.pmf, other.pmf, atol=1e-6)
        assert one.dropped == other.dropped
    spool = served.spool()
    found = spool.find([a.event_id for a, _ in answered])
    assert len(found) == len(answered)
    assert [b for d in found.values() for b in broken(d)] == []
    assert any(left_out(r) for r in requests)
    assert {d.multipliers for d in found.values()} == {1}
    austria = [d for d in found.values() if d.context.get("country") == "AT"]
    sports = [sum(p for arm, p in zip(d.arms, d.pmf, strict=True) if GENRE[arm] == "sports") for d in austria]
    listed = [any(GENRE[arm] == "sports" for arm in d.arms) for d in austria]
    assert min(p for p, there in zip(sports, listed, strict=True) if there) >= 0.3 - 1e-6
    release = bundle.load(layout.served(served.home, number))
    for decision in list(found.values())[:50]:
        steps = replay(decision, load=lambda _: release, spool=spool, spec=RewardSpec(), prices=lambda _: prices)
        assert [s.step for s in steps][3:5] == ["rules", "multipliers"]
        assert all(s.holds for s in steps), steps
    spool.close()
