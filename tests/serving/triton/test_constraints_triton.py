"""Rules and limits behind a real Triton: kept, and the same answers as in one's own process."""

import time
from contextlib import closing

import numpy as np
import orjson
import pytest

from croupier import Client, Embedded
from croupier.features.spec import RewardSpec
from croupier.features.store import layout
from croupier.models.constraints import kept_multipliers
from croupier.models.constraints.allowance import Allowance
from croupier.models.constraints.multipliers import Multipliers
from croupier.serving.decide.replay import replay
from croupier.serving.embedded.host import MIRROR_SECONDS
from croupier.serving.operate import deployment
from croupier.serving.release import bundle, bundle_store
from croupier.serving.release.safeguards import Safeguards
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


PROMISED = "\n[safety]\nconservative = 0.1\n"


@pytest.mark.slow
def test_triton_explores_beside_a_baseline_within_its_grant_and_answers_as_embedded_does(tmp_path, monkeypatch):
    """Of 600 requests each host may use 100 rewards above its free share, at .4 each: 250 decisions."""
    store = tmp_path / "store"
    served = declared(tmp_path / "triton-host", PROMISED, store=str(store))
    number = publish(served, apps.trained("neural_linear"))
    own = declared(tmp_path / "own-host", PROMISED, store=str(store))
    (own.home / layout.UNIT_KEY).write_text(served.unit_key)
    (own.home / layout.UNIT_KEY).chmod(0o600)
    with closing(served.spool()) as here, closing(own.spool()) as there:
        grants = {here.id: 100.0, there.id: 100.0}
    name = Safeguards.of(bundle_store.manifest(served.store, number)).beside.name
    allowed = Multipliers(version=1, prices={}, allowance=Allowance(promise=f"0-{name}", share=0.5, grants=grants))
    assert kept_multipliers.keep(served.store, kept_multipliers.now(served.store), allowed, [])
    deployment.follow(served.store, served.home, triton=None)
    monkeypatch.setenv("CROUPIER_STORE", str(store))
    monkeypatch.setenv("CROUPIER_PATIENCE_MS", "60000")  # of a busy machine
    requests = apps.sample().requests(600)
    with TritonServer(served.home, ports=Ports.free()) as triton, Client(triton.grpc, deadline_ms=30_000) as client:
        by_triton = [a for start in range(0, 600, 100) for a in client.select_batch(requests[start : start + 100])]
    with Embedded("shop", var=tmp_path / "own-host") as shop:
        shop.host.look()
        time.sleep(2 * MIRROR_SECONDS)
        by_itself = [a for start in range(0, 600, 100) for a in shop.select_batch(requests[start : start + 100])]
    for one, other in zip(by_triton, by_itself, strict=True):
        assert (one.arm, one.error) == (other.arm, "")
        np.testing.assert_allclose(one.pmf, other.pmf, atol=1e-6)
    spool = served.spool()
    found = spool.find([a.event_id for a in by_triton])
    shares = [orjson.loads(found[a.event_id].conservative)["share"] for a in by_triton]
    assert shares == [0.5] * 250 + [0.1] * 350
    release = bundle.load(layout.served(served.home, number))
    for decision in list(found.values())[::12]:
        steps = replay(decision, load=lambda _: release, spool=spool, spec=RewardSpec(), prices=lambda _: allowed)
        assert {"share", "baseline"} <= {s.step for s in steps}
        assert all(s.holds for s in steps), steps
    spool.close()


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
