"""From bookings to a verdict: the join makes profits of them, the gate judges in money, what nobody can price is kept
out, and a real Triton answers as one's own process does."""

import time
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from croupier import Client, Embedded
from croupier.features import build, clock, scheduled
from croupier.features.interactions.versions import read_interactions
from croupier.features.store import layout
from croupier.features.utc import HOUR, to_us
from croupier.features.workspace import Workspace, get_folder
from croupier.features.worlds.rates import COST
from croupier.models import training
from croupier.models.policy import load
from croupier.serving.embedded.host import MIRROR_SECONDS
from croupier.serving.operate import deployment
from croupier.serving.triton.server import Ports, TritonServer
from tests.serving.pricing import rooms

START = datetime(2026, 3, 1, tzinfo=UTC)
HOURS = 3


@pytest.fixture
def hotel(tmp_path, monkeypatch):
    """The app with 4,500 decisions of three hours, their bookings, and the training of every two hours."""
    monkeypatch.setenv("CROUPIER_VAR", str(tmp_path / "var"))
    monkeypatch.setenv("CROUPIER_QUALITY_PAGES", "false")
    text = rooms.WORLD.app_toml(window_seconds=60).replace('["demand_ts"]', '["demand_ts", "lin_ts"]')
    rooms.opened(tmp_path / "var", text + '[training]\nevery = "1h"\n')
    return Workspace.open("hotel")


def shipped(w, *, without=0):
    """Puts the log on record; of so many decisions the margin is not known. Returns decisions and bookings."""
    made, booked = rooms.WORLD.log(4500, start=to_us(START), gap=HOURS * HOUR // 4500)
    made = [replace(d, margin="") if i < without else d for i, d in enumerate(made)]
    with closing(w.spool()) as spool:
        spool.append_decisions(made)
        spool.append_rewards(booked)
    return made, {r.event_id for r in booked}


@pytest.mark.slow
def test_bookings_become_profits_and_the_gate_judges_in_money(hotel, tmp_path):
    made, booked = shipped(hotel)
    with clock.at(to_us(START) + HOURS * HOUR + HOUR // 2):
        build.collect("hotel")
        scheduled.validate("hotel", None, scheduled.join("hotel", None))
        rows = read_interactions(hotel.store, start=START, end=START + timedelta(hours=HOURS))
        expected = {d.event_id: float(d.margin) if d.event_id in booked else 0.0 for d in made}
        assert dict(rows.select("event_id", "reward").iter_rows()) == expected
        key = scheduled.encode("hotel", None)["features"]
        (verdict,) = training.judge([training.train(**job) for job in training.plan([("hotel", key)])])
    judged = verdict["evaluation"]["policies"]["demand_ts"]
    assert verdict["promoted"] == "demand_ts"
    assert judged["lift"]["lower"] > 3.0, "money a decision"
    policy = load(get_folder(hotel.store, layout.candidate(key, "demand_ts"), tmp_path / "policy"))
    contexts = [d.context for d in made[:300]]
    encoder = build.encoder_at(hotel, layout.features(key, layout.ENCODER))
    asked = encoder.encode(contexts, [d.arms for d in made[:300]], [()] * 300, encoder.catalogue(rooms.WORLD.arms()))
    worth = rooms.WORLD.profit(contexts)
    uniform, found = worth.mean(), (policy.pmf(asked) * worth).sum(axis=1).mean()
    assert found - uniform > 0.6 * (worth.max(axis=1).mean() - uniform)


@pytest.mark.medium
def test_decisions_without_a_margin_have_no_reward_sold_or_not_and_are_quarantined(hotel):
    shipped(hotel, without=10)
    with clock.at(to_us(START) + HOURS * HOUR + HOUR // 2):
        build.collect("hotel")
        joined = scheduled.join("hotel", None)
        rows = read_interactions(hotel.store, start=START, end=START + timedelta(hours=HOURS))
        assert rows["reward"].is_nan().sum() == 10
        scheduled.validate("hotel", None, joined)
        rows = read_interactions(hotel.store, start=START, end=START + timedelta(hours=HOURS))
    assert (len(rows), rows["reward"].is_nan().sum()) == (4490, 0)
    assert (
        rows.filter(pl.col("reward") > 0).select((pl.col("reward") == pl.col("margin").cast(pl.Float64)).all()).item()
    )


@pytest.mark.slow
def test_triton_answers_as_embedded_does_and_logs_the_same_margins(tmp_path, monkeypatch):
    monkeypatch.setenv("CROUPIER_PATIENCE_MS", "60000")  # of a busy machine
    store = tmp_path / "store"
    served = rooms.opened(tmp_path / "triton-host", rooms.TONIGHT, store=str(store))
    rooms.publish(served, rooms.TONIGHT)
    own = rooms.opened(tmp_path / "own-host", rooms.TONIGHT, store=str(store))
    (own.home / layout.UNIT_KEY).write_text(served.unit_key)
    (own.home / layout.UNIT_KEY).chmod(0o600)
    deployment.follow(served.store, served.home, triton=None)
    monkeypatch.setenv("CROUPIER_STORE", str(store))
    asked = [replace(r, context=r.context | {"clean": 20.0 + i % 9}) for i, r in enumerate(rooms.requests(120))]
    asked[7] = replace(asked[7], context={"trip": "group", "lead": 1.0})
    with TritonServer(served.home, ports=Ports.free()) as triton, Client(triton.grpc, deadline_ms=30_000) as client:
        by_triton = client.select_batch(asked)
    with Embedded("hotel", var=tmp_path / "own-host") as hotel:
        hotel.host.look()
        time.sleep(2 * MIRROR_SECONDS)
        by_itself = hotel.select_batch(asked)
        there = hotel.host.spool.find([a.event_id for a in by_itself if not a.error])
    for one, other in zip(by_triton, by_itself, strict=True):
        assert one.arm == other.arm
        np.testing.assert_allclose(one.pmf, other.pmf, atol=1e-6)
    for refused in (by_triton[7], by_itself[7]):
        assert refused.error.startswith("context.clean: found None, expected a number from 0 on: [pricing]")
    with closing(served.spool()) as spool:
        here = spool.find([a.event_id for a in by_triton if not a.error])
    assert len(here) == 119
    assert {e: d.margin for e, d in here.items()} == {e: d.margin for e, d in there.items()}
    assert {float(d.arm[5:]) - float(d.margin) for d in here.values()} == {20.0 + i for i in range(9)}
    assert COST not in {float(d.arm[5:]) - float(d.margin) for d in here.values() if d.context["clean"] != COST}
