"""`collect_events` on a real spool: ships, restates and retains; run again, it changes nothing."""

import json
from datetime import UTC, datetime

import pytest

from croupier.features.encoding import catalogue
from croupier.features.interactions.join import join_interval
from croupier.features.interactions.versions import newest
from croupier.features.utc import from_us
from croupier.features.workspace import Workspace
from croupier.features.worlds.reels import START, World

pytestmark = pytest.mark.slow


def test_collect_events_keeps_the_log_right(dags, var):
    world = World(seed=4)
    w = Workspace.open("upkeep")
    w.home.mkdir(parents=True)
    (w.home / "app.toml").write_text(world.app_toml(window_seconds=600))
    catalogue.write(w.home / "catalogue.json", world.arms())
    decisions, rewards = world.log(300, start=START)
    spool = w.spool()
    spool.append_decisions(decisions)
    first = dags("test", "collect_events", json.dumps({"app": "upkeep"}))
    assert first["state"] == "success", first
    assert first["returned"]["collect"]["decisions"] == 300
    assert first["returned"]["restate"] == {"hours": []}, first

    last = from_us(max(d.at for d in decisions))
    hours = {"start": from_us(min(d.at for d in decisions)), "end": last.replace(year=last.year + 1)}
    join_interval(w.store, w.spec.reward, now=datetime.now(UTC), **hours)
    spool.append_rewards(rewards)
    spool.close()
    second = dags("test", "collect_events", json.dumps({"app": "upkeep"}))
    assert second["returned"]["collect"]["rewards"] == len(rewards) > 0
    assert second["returned"]["restate"]["hours"] == sorted(
        hour for hour, version in newest(w.store, **hours).items() if version.version == 2
    )
    before = {key: w.store.get(key) for key in w.store.list("log/") + w.store.list("interactions/")}
    third = dags("test", "collect_events", json.dumps({"app": "upkeep"}))
    assert third["state"] == "success"
    assert {key: w.store.get(key) for key in before} == before
