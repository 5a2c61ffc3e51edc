"""What is not kept up is told with health: of a real app, each fault planted and taken away again."""

import json
from collections import namedtuple
from dataclasses import replace

import pytest

from croupier.features import build, clock
from croupier.features.interactions import hours
from croupier.features.interactions.hours import Checked
from croupier.features.interactions.versions import newest
from croupier.features.log.ship import ship
from croupier.features.store import layout, released
from croupier.features.utc import DAY, HOUR, MINUTE, SECOND, from_us
from croupier.models.health.symptom import ACT, TO_WATCH
from croupier.serving.decide.candidate_breaker import CandidateBreaker
from croupier.serving.health import told, upkeep
from croupier.serving.health.examine import examine
from croupier.serving.readings import events
from croupier.serving.release import rollout_store
from tests.serving.monitoring.test_exporter import NOON, make

DUE = NOON + HOUR + 60 * SECOND  # the hour is over, and the window of its last decision


@pytest.fixture
def w(tmp_path, monkeypatch):
    for name, value in {"VAR": str(tmp_path), "HOST": "h1", "DURABILITY": "NORMAL"}.items():
        monkeypatch.setenv(f"CROUPIER_{name}", value)
    disk_of(monkeypatch, free=0.5)
    return make(tmp_path, "shop")


def disk_of(monkeypatch, *, free):
    usage = namedtuple("usage", "total used free")(1000, 1000 * (1 - free), 1000 * free)
    monkeypatch.setattr(events.shutil, "disk_usage", lambda folder: usage)


def found(w, at):
    return {s.about: (s.level, s.says) for s in upkeep.symptoms(w, now=at)}


def shipped(w):
    spool = w.spool()
    ship(spool, w.store, host="h1")
    spool.close()


def joined(w, *, passed=True):
    with clock.at(DUE):
        start, end = from_us(NOON), from_us(NOON + HOUR)
        build.join("shop", start.isoformat(), end.isoformat())
        (version,) = newest(w.store, start=start, end=end).values()
        hours.record(w.store, version, Checked(passed=passed, rows=100))


def test_a_loop_that_turns_has_nothing(w):
    shipped(w)
    joined(w)
    assert found(w, DUE + HOUR) == {}


@pytest.mark.parametrize(("later", "level"), [(119 * MINUTE, ""), (3 * HOUR, TO_WATCH), (7 * HOUR, ACT)])
def test_a_shipper_that_stopped(w, later, level):
    assert found(w, NOON + later).get("log", ("",))[0] == level
    if level:
        assert (
            found(w, NOON + later)["log"][1]
            == f"decisions of this host have waited {later / HOUR:.1f} hours to be shipped"
        )
        (said,) = upkeep.symptoms(w, now=NOON + later)
        assert (said.watch, said.cause, said.since, said.threshold) == ("system", "upkeep", NOON, 2.0)
    shipped(w)
    assert "log" not in found(w, NOON + later)


@pytest.mark.parametrize(("later", "level"), [(HOUR, ""), (3 * HOUR, TO_WATCH), (25 * HOUR, ACT)])
def test_hours_that_nobody_joins(w, later, level):
    shipped(w)
    assert found(w, DUE + later).get("hours", ("",))[0] == level
    joined(w)
    assert "hours" not in found(w, DUE + later)


def test_an_hour_that_did_not_pass(w):
    shipped(w)
    joined(w, passed=False)
    assert found(w, DUE) == {
        "hours": (TO_WATCH, "1 hours of the last week did not pass their validation and are not learnt from")
    }


@pytest.mark.parametrize(("free", "level"), [(0.11, ""), (0.09, TO_WATCH), (0.04, ACT)])
def test_a_disk_that_fills(w, monkeypatch, free, level):
    disk_of(monkeypatch, free=free)
    assert found(w, NOON).get("disk", ("",))[0] == level


def test_a_log_that_fills(w, monkeypatch):
    size = events.backlog(w.home / layout.SPOOL_LOG, window_us=0, now=NOON).bytes
    for limit, level in ((size / 0.6, None), (size / 0.8, TO_WATCH), (size / 0.95, ACT)):
        tight = replace(w, settings=w.settings.model_copy(update={"spool_max_bytes": round(limit)}))
        assert found(tight, NOON).get("log", (None,))[0] == level


def test_a_breaker_that_opened_and_one_of_another_stage(w):
    state = rollout_store.read_state(w.store)
    breaker = CandidateBreaker(w.home / layout.BREAKER, failures=1)
    breaker.failed(state.release, "another stage", "RuntimeError")
    assert "breaker" not in found(w, NOON)
    breaker.failed(state.release, state.stage, "RuntimeError")
    assert found(w, NOON)["breaker"][0] == ACT


def test_what_serves_is_old_and_a_rollout_that_nobody_watches(w):
    manifest = released.manifest(w.store, 1)
    manifest["meta"]["features"] = "k1"
    w.store.put(layout.release(1, layout.MANIFEST), json.dumps(manifest).encode())
    w.store.put(layout.features("k1", layout.META), json.dumps({"end": from_us(NOON - 15 * DAY).isoformat()}).encode())
    assert found(w, NOON)["training"] == (TO_WATCH, "what serves has learnt nothing of the last 15 days")
    rollout_store.note_watched(w.store, NOON - 3 * HOUR)
    assert "rollout" not in found(w, NOON), "nobody is on trial"
    rollout_store.change(w.store, lambda there: replace(there, share=0.2))
    assert found(w, NOON)["rollout"] == (
        TO_WATCH,
        "a rollout runs, and nobody has looked at its evidence for 3.0 hours",
    )


def test_what_cannot_be_read_has_not_passed(w):
    (w.home / layout.SPOOL_LOG).write_bytes(b"no database, whatever its name says" * 100)
    level, says = found(w, NOON)["log"]
    assert level == TO_WATCH
    assert says.startswith("how the log stands could not be read: SpoolUnavailable: ")


def test_a_host_that_serves_nobody_is_asked_about_the_store_alone(w, monkeypatch):
    shipped(w)
    (w.home / layout.SPOOL_LOG).rename(w.home / "moved")
    disk_of(monkeypatch, free=0.0)
    assert set(found(w, DUE + 25 * HOUR)) == {"hours"}


def test_health_names_it_where_people_look(w, monkeypatch):
    shipped(w)
    joined(w)
    with clock.at(DUE + HOUR):
        assert told.sentence(examine(w)) == "shop is too young to be judged: 1 hours are known, 96 are needed"
        disk_of(monkeypatch, free=0.04)
        lines = told.lines(examine(w))
    assert lines[0].startswith("shop needs you: the disk of this host's log is 96% full; ")
    assert lines[1].startswith("what to do: make room")
    assert [line.split()[0] for line in lines if "96% full" in line] == ["shop", "act"]
