"""E-mails as unit ids: after serving, refusing, shipping, joining, judging and encoding them in real DAG runs, no file
holds one, Airflow's database included; after `croupier forget`, none holds the unit's hash either."""

import json
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from croupier.features.encoding import catalogue
from croupier.features.ids import hash_unit
from croupier.features.schema import Reward
from croupier.features.utc import to_us
from croupier.features.workspace import Workspace
from croupier.models.baselines import Uniform
from croupier.serving.cli import app as cli
from croupier.serving.contract.requests import Request
from croupier.serving.decide.selector import Selector
from croupier.serving.release.rollout_mirror import RolloutReader
from tests.serving import apps

pytestmark = pytest.mark.slow
START = datetime.fromisoformat("2026-10-01T10:00:00+00:00")
EMAILS = [f"user{i}@example.com" for i in range(40)]


def hits(folder: Path, secrets: list[str]) -> list[str]:
    """Files that hold a secret: in their bytes, or in the (compressed) values of a Parquet file."""
    found = []
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and not p.is_symlink()):
        text = path.read_bytes()
        if path.suffix == ".parquet":
            text += str(pq.read_table(path).to_pydict()).encode()
        found += [f"{path.relative_to(folder)}: {s}" for s in secrets if s.encode() in text]
    return found


def serve(w: Workspace) -> None:
    """600 decisions for the e-mails, a click on every third, and requests and rewards that are refused."""
    sample, spool, clock = apps.sample(), w.spool(), iter(range(10**9))
    release = apps.write(w.home, Uniform())
    selector = Selector(
        release,
        recorder=spool,
        rollout=RolloutReader(w.home / "rollout.json"),
        unit_key=w.unit_key,
        clock=lambda: to_us(START) + next(clock) * 60_000_000,
    )
    visits = sample.world.users(600, np.random.default_rng(0))
    requests = [
        Request(unit_id=EMAILS[i % 40], context=v.context, arms=v.arms, arm_context=v.arm_context)
        for i, v in enumerate(visits)
    ]
    answers = [answer for i in range(0, 600, 10) for answer in selector.select(requests[i : i + 10])]
    assert {a.error for a in answers} == {""}
    bad = [
        Request(unit_id=EMAILS[0], context={"no such feature": 1}, arms=visits[0].arms),
        Request(unit_id=EMAILS[1] * 1000, context=visits[0].context, arms=visits[0].arms),
    ]
    assert selector.select(bad)[0].error
    decided = spool.find([a.event_id for a in answers])
    spool.append_rewards(
        [Reward(event_id=a.event_id, at=decided[a.event_id].at + 1000, kind="click", value=1.0) for a in answers[::3]]
    )
    spool.close()


def test_raw_ids_are_nowhere_and_a_forgotten_hash_is_gone(dags, var):
    w = Workspace.open("private")
    w.home.mkdir(parents=True)
    world = apps.sample().world
    (w.home / "app.toml").write_text(world.app_toml(window_seconds=600))
    catalogue.write(w.home / "catalogue.json", world.arms())
    serve(w)
    interval = {"start": START.isoformat(), "end": (START + timedelta(hours=3)).isoformat()}
    run = dags("test", "build_features", json.dumps({"app": "private", **interval}))
    assert run["state"] == "success", run
    assert run["returned"]["join"]["interactions"] == 600
    everything = var.parent  # the app, its store and reports, and Airflow's home with its database and logs
    assert (everything / "airflow" / "airflow.db").exists()
    assert hits(everything, EMAILS) == []
    victim = hash_unit(w.unit_key, EMAILS[7])
    assert len(hits(everything, [victim])) >= 3  # spool, log, interactions

    cli(["forget", EMAILS[7], "--app", "private"], standalone_mode=False)
    assert hits(everything, [victim]) == []
    assert list((w.home / "store" / "features").rglob("encoded.parquet")) == []
    again = dags("test", "build_features", json.dumps({"app": "private", **interval}))
    assert again["returned"]["join"]["interactions"] == 585
    (encoded,) = (w.home / "store" / "features").rglob("encoded.parquet")
    units = pq.read_table(encoded, columns=["unit"])["unit"].to_pylist()
    assert len(units) == 585
    assert int(victim[:16], 16) not in units
