"""`watch_rollout` looks, moves nothing without evidence, asks nobody without need; a second look changes nothing."""

import json

import pytest

from croupier.features.encoding import catalogue
from croupier.features.encoding.encoder import Encoder
from croupier.features.workspace import Workspace
from croupier.features.worlds.reels import World
from croupier.models.policy import make
from croupier.serving.operate import verdict_release
from croupier.serving.release import rollout_store

pytestmark = pytest.mark.slow


def app(name):
    w, world = Workspace.open(name), World(seed=5)
    w.home.mkdir(parents=True)
    (w.home / "app.toml").write_text(world.app_toml(window_seconds=600))
    catalogue.write(w.home / "catalogue.json", world.arms())
    return w, world


def watch(dags, name):
    run = dags("test", "watch_rollout", json.dumps({"app": name}))
    assert run["state"] == "success", run
    assert run["tasks"]["request_approval[0]"] == "skipped"
    return run["returned"]["look"]


def test_before_the_first_release_there_is_nothing_to_watch(dags, var):
    w, _ = app("unreleased")
    assert watch(dags, "unreleased") == {"app": "unreleased", "stage": "no release yet"}
    assert rollout_store.read_state(w.store) is None


def test_no_data_never_promotes(dags, var):
    w, world = app("silent")
    verdict_release.bootstrap(w)
    arms = world.arms()
    verdict_release.release_policies(
        w,
        champion=make("uniform"),
        candidate=make("fixed_arm", arm=arms[0].arm_id),
        arms=arms,
        encoder=Encoder.empty(w.spec, arms),
        meta={},
    )
    looks = [watch(dags, "silent") for _ in range(2)]
    assert [(look["release"], look["stage"], look["share"]) for look in looks] == [(2, "5%", 0.05)] * 2
    assert all(look["promoted"] is None for look in looks)
    assert [entry["share"] for entry in rollout_store.read_state(w.store).history] == [0.05]
    assert "Release 2" in w.store.get("reports/rollout/000002-001.html").decode()
