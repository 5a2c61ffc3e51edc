"""Figures are made once for each version of an hour; a restated hour gets new ones; retention takes them away."""

from datetime import datetime, timedelta

import polars as pl
import pytest

from croupier.features.health import kept
from croupier.features.interactions import privacy, versions
from croupier.features.interactions.account import Account
from croupier.features.log.shipped import open_log
from croupier.features.utc import HOUR, from_us, hour_name
from croupier.features.worlds.reels_hours import ReelsHours
from tests import reels_store

pytestmark = pytest.mark.medium


def test_made_once_a_version_and_read_of_the_newest(tmp_path, monkeypatch):
    monkeypatch.setenv("CROUPIER_VAR", str(tmp_path))
    app = ReelsHours(per_day=500, seed=1)
    w = reels_store.declare(app)
    reels_store.joined(w, app, range(3))
    start: datetime = from_us(app.start)
    span = {"start": start, "end": start + timedelta(hours=3)}
    assert len(kept.keep(w.store, w.spec, **span)) == 3
    assert kept.keep(w.store, w.spec, **span) == []
    first = kept.read(w.store, **span)
    assert [h["n"] for h in first] == [len(app.hour(t).interactions) for t in range(3)]
    assert sorted(first[0]["hosts"]) == ["host-a", "host-b", "host-c"]  # from the keys of the log's objects
    assert sum(h["n"] for h in first[0]["hosts"].values()) == first[0]["n"]
    assert first[0]["account"]["on_time"] == first[0]["groups"]["all"][""][3]

    hour = first[1]["hour"]
    rows = versions.read_interactions(w.store, start=start + timedelta(hours=1), end=start + timedelta(hours=2))
    with open_log(w.store) as log:
        late = rows.head(0).select("event_id")
        versions.commit(log, hour, rows.with_columns(reward=pl.lit(1.0)), late, Account(), joined_at=1)
    assert kept.keep(w.store, w.spec, **span) == [hour]
    again = kept.read(w.store, **span)
    assert again[1]["version"] == 2
    assert again[1]["groups"]["all"][""][1] == again[1]["n"]
    assert [h["version"] for h in again] == [1, 2, 1]

    privacy.expire(w.store, days=1, now=start + timedelta(days=40))
    assert kept.read(w.store, **span) == []


def test_what_is_forgotten_is_in_no_figure(tmp_path, monkeypatch):
    monkeypatch.setenv("CROUPIER_VAR", str(tmp_path))
    app = ReelsHours(per_day=500, seed=2)
    w = reels_store.declare(app)
    reels_store.joined(w, app, range(3))
    start: datetime = from_us(app.start)
    span = {"start": start, "end": start + timedelta(hours=3)}
    kept.keep(w.store, w.spec, **span)
    rows = app.hour(1).interactions
    unit = rows["unit_id"][0]
    touched = [t for t in range(3) if unit in app.hour(t).interactions["unit_id"].to_list()]
    spool = w.spool()
    done = privacy.forget(w.store, spool, w.spec.reward, unit_id=unit, host="host-a", now=start + timedelta(days=1))
    spool.close()
    assert len(done.hours) == len(touched)
    before = [h["hour"] for h in kept.read(w.store, **span)]
    assert before == [hour_name(app.start + t * HOUR) for t in range(3) if t not in touched]
    assert kept.keep(w.store, w.spec, **span) == done.hours
    (again,) = (h for h in kept.read(w.store, **span) if h["hour"] == hour_name(app.start + HOUR))
    assert again["n"] == len(rows) - (rows["unit_id"] == unit).sum()
