"""The whole way with a real Triton: promoted, watched against what is kept back, shown to be worse, rolled back."""

import time

import numpy as np
import pytest

from croupier.features.clock import now_us
from croupier.features.encoding.encoder import Encoder
from croupier.features.log.ship import ship
from croupier.features.log.spool import Spool
from croupier.features.schema import Arm
from croupier.features.spec import AppSpec
from croupier.features.store.storage import open_store
from croupier.models.baselines import FixedArm
from croupier.serving.client.client import Client
from croupier.serving.operate import deployment, publish, watch
from croupier.serving.release import bundle, bundle_store, rollout_store
from croupier.serving.release.rollout_state import in_candidate
from croupier.serving.triton.server import Ports
from tests.serving.ended_at_once import EndedAtOnce

pytestmark = pytest.mark.slow
TOML = """
[reward]
window_seconds = 3.0
[reward.kinds.click]
[context.age]
type = "numeric"
[arm.price]
type = "numeric"
[rollout]
stages = [1.0]
holdout = 0.2
"""
ARMS = [Arm(arm_id=f"a{i}", features={"price": float(i)}) for i in range(3)]
FLOOR = 0.03
GOLDEN = [{"context": {"age": 5.0}, "arms": ["a0", "a1", "a2"], "arm_context": []}]


def test_promoted_watched_and_rolled_back_through_a_real_server(tmp_path):
    """The champion shows a1, which everybody clicks; its successor shows a0, which nobody does."""
    home, store = tmp_path / "app", open_store(str(tmp_path / "store"))
    home.mkdir()
    (home / "app.toml").write_text(TOML)
    spec = AppSpec.read(home / "app.toml")

    def build(folder, number):
        bundle.write_release(
            folder,
            number=number,
            champion=FixedArm(arm="a1"),
            candidate=FixedArm(arm="a0"),
            arms=ARMS,
            floor=FLOOR,
            encoder=Encoder.empty(spec, ARMS),
            meta={},
            golden=GOLDEN,
        )

    publish.publish(store, home, build, triton=None, stages=spec.rollout.stages)
    with EndedAtOnce(home, ports=Ports.free()) as triton, Client(triton.grpc, deadline_ms=20_000) as client:
        assert watch.finish(store, home, triton=triton.grpc, spec=spec.rollout) == 2
        state = rollout_store.read_state(store)
        assert (state.stage, state.kept) == ("watch 20%", "predecessor")
        assert len(bundle.load(home / "triton" / "select_arm" / "2").golden) == 2, "either side is tried"
        time.sleep(1.0)  # the selectors read the mirror twice a second
        visits(client, 400)
        state = judged(store, home, spec)
        check_log(home, state)
        assert state.stage == "returned"
        assert state.history[-1]["reason"] == "harm shown: reward"
        time.sleep(1.0)
        assert {(a.role, round(a.pmf[1], 9)) for a in visits(client, 20)} == {("holdout", 0.98)}
        assert watch.finish(store, home, triton=triton.grpc, spec=spec.rollout) == 3
        answers = visits(client, 20)
        assert {(a.role, a.release, round(a.pmf[1], 9)) for a in answers} == {("champion", 3, 0.98)}
    state = rollout_store.read_state(store)
    assert (state.release, state.stage, state.kept) == (3, "none", "")
    assert bundle_store.current(store) == 3
    assert deployment.verify(store, home, 3)["policies"] == {"champion": "fixed_arm"}


def visits(client, n):
    answers = []
    for i in range(n):
        a = client.select(unit_id=f"u{i}", context={"age": 30.0}, arms=["a0", "a1", "a2"])
        if a.arm == "a1":
            assert client.reward(event_id=a.event_id, kind="click", value=1.0).status == "accepted"
        answers.append(a)
    return answers


def judged(store, home, spec):
    """One look once all reward windows are over."""
    time.sleep(4.0)
    spool = Spool(home / "spool" / "log.db")
    ship(spool, store, host="h")
    spool.close()
    return watch.tick(store, home, spec, now_us())


def check_log(home, state):
    spool = Spool(home / "spool" / "log.db")
    found = list(spool.find([row[0] for row in spool.db.execute("SELECT event_id FROM decisions")]).values())
    spool.close()
    assert len(found) == 400
    for d in found:
        kept = in_candidate(state.salt, d.unit_id, 0.2)
        assert (d.role, d.release, d.stage) == ("holdout" if kept else "champion", 2, "watch 20%")
        assert np.allclose(d.pmf, [0.01, 0.98, 0.01] if kept else [0.98, 0.01, 0.01])
        assert d.propensity == d.pmf[d.arms.index(d.arm)]
