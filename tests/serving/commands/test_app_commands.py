"""`croupier app init | check | diff`: what a declaration means, and what a change of it does, held against what then
happens."""

import json
import re
from datetime import UTC, datetime, timedelta

import pytest
from typer.testing import CliRunner

from croupier.features import build, clock, scheduled
from croupier.features.interactions import hours, versions, window
from croupier.features.spec import AppSpec, SpecError
from croupier.features.utc import from_us, hour_start
from croupier.features.workspace import Workspace
from croupier.models import retraining, same_features, training
from croupier.serving.cli import app as cli
from croupier.serving.operate import succession, verdict_release
from croupier.serving.release import bundle_store
from tests import shop

FIRST, LAST = "2026-09-21T00:00+00:00", "2026-09-23T00:00+00:00"
WHEN = datetime(2026, 9, 22, 6, tzinfo=UTC)


def croupier(*words, code=0):
    done = CliRunner().invoke(cli, [*words, "--app", "shop"])
    assert done.exit_code == code, done.output
    return done.stdout


def told(*words, code=0):
    return json.loads(croupier(*words, "--json", code=code))


@pytest.fixture
def w(tmp_path, monkeypatch):
    """A shop of three hours' log, with two cheap candidates and a training of 100 rows or more."""
    monkeypatch.setenv("CROUPIER_VAR", str(tmp_path))
    made = shop.write(600, seed=3)
    change(made, '["vw_cb_adf", "neural_linear"]', '["vw_cb_adf", "lin_ts"]')
    (made.home / "app.toml").write_text((made.home / "app.toml").read_text() + "\n[training]\nmin_rows = 100\n")
    with clock.at(round(WHEN.timestamp() * 1e6)):
        yield Workspace.open("shop")


def change(w, was, now):
    text = (w.home / "app.toml").read_text()
    assert was in text
    (w.home / "app.toml").write_text(text.replace(was, now))


def build_hours():
    build.collect("shop")
    joined, w = scheduled.join("shop", None)["hours"], Workspace.open("shop")
    for hour in joined:  # sound, as test_quality shows for this world; Great Expectations takes its time
        version = versions.newest(w.store, start=WHEN - timedelta(days=9), end=WHEN)[hour]
        hours.record(w.store, version, hours.Checked(passed=True, rows=version.rows))
    return joined


def train(promoted=""):
    """A scheduled training, whose verdict is promoted by hand."""
    key = scheduled.encode("shop", None)["features"]
    jobs = [training.train(**job) for job in training.plan([("shop", key)])]
    (verdict,) = training.judge(jobs)
    return verdict_release.publish_verdict(verdict | ({"promoted": promoted, "kind": "promotion"} if promoted else {}))


@pytest.mark.medium
def test_an_app_begins_with_a_commented_file_and_is_not_overwritten(tmp_path, monkeypatch):
    monkeypatch.setenv("CROUPIER_VAR", str(tmp_path))
    (tmp_path / "shop").mkdir()
    made = told("app", "init")
    assert AppSpec.read(tmp_path / "shop" / "app.toml") == AppSpec()
    assert made == {"app": "shop", "app_toml": str(tmp_path / "shop" / "app.toml")}
    assert croupier("app", "init", code=1) == ""
    found = told("app", "check", code=1)
    assert (found["valid"], len(found["problems"])) == (True, 1)
    assert found["problems"][0].startswith("catalogue.json")


@pytest.mark.medium
def test_check_says_what_is_wrong(w):
    change(w, 'candidates = ["vw_cb_adf", "lin_ts"]', 'candidates = ["lin_tsx", "vw_cb_adf"]')
    (problem,) = told("app", "check", code=1)["problems"]
    assert problem.startswith("policies.candidates: lin_tsx: policy: found 'lin_tsx', expected one of")
    change(w, "window_seconds", "window_second")
    found = told("app", "check", code=1)
    assert found["valid"] is False
    assert "reward.window_second" in found["problems"][0]


@pytest.mark.medium
def test_check_foretells_the_next_scheduled_run(w):
    build.collect("shop")
    before = told("app", "check")
    assert (before["server"], before["release"], before["arms"]) == (None, None, len(w.arms()))
    assert before["next"]["training"] == ""
    assert before["next"]["why_not"] == "0 matured rows in sound hours, and training.min_rows asks for 100"
    assert len(build_hours()) == before["next"]["hours"] > 0
    due = told("app", "check")["next"]
    assert (due["hours"], due["training"], due["window_rows"]) == (0, "the first training", 600)
    assert train()["release"] == 1
    after = told("app", "check")
    assert after["next"]["why_not"] == "no new row since the last training"
    assert after["release"] == {"number": 1, "champion": "uniform", "stage": "none", "share": 0.0}


@pytest.mark.medium
def test_diff_says_nothing_without_a_change(w):
    assert told("app", "diff") == {
        "since": "",
        "changes": {},
        "effects": [],
        "blocked": "",
        "serves_on": None,
        "begins_anew": False,
    }
    build_hours()
    train()
    same = told("app", "diff")
    assert (same["since"], same["changes"], same["effects"], same["serves_on"]) == ("the last training", {}, [], 1)
    assert croupier("app", "diff") == "app.toml says what it said at the last training\n"


@pytest.mark.medium
def test_other_features_before_a_trained_champion_begin_the_judging_anew(w):
    build_hours()
    train()
    process = retraining.read_process(w)
    change(w, "[context.device]", '[context.city]\ntype = "categorical"\n[context.device]')
    found = told("app", "diff")
    assert found["changes"]["context.city.type"] == [None, "categorical"]
    assert (found["begins_anew"], found["blocked"], found["serves_on"]) == (True, "", 1)
    assert any(effect.startswith("context.city is new") for effect in found["effects"])
    assert any("600 rows of" in effect for effect in found["effects"])
    key = scheduled.encode_window(Workspace.open("shop"), _window(), now=WHEN)["features"]
    training.judge([training.train(**job) for job in training.plan([("shop", key)])])
    assert retraining.read_process(w).encoder != process.encoder


@pytest.mark.medium
def test_other_features_than_a_trained_champion_reads_are_refused_before_training_and_the_way_out_works(w):
    build_hours()
    train("vw_cb_adf")
    succession.promote(w.store, w.home, triton=None)
    change(w, '[context.device]\ntype = "categorical"\n', "")
    found = told("app", "diff")
    assert found["changes"]["context.device.type"] == ["categorical", None]
    assert "champion of release 2, vw_cb_adf" in found["blocked"]
    assert "`croupier rollout rollback 1` (uniform)" in found["blocked"]
    assert found["serves_on"] == 2
    key = scheduled.encode_window(Workspace.open("shop"), _window(), now=WHEN)["features"]
    with pytest.raises(SpecError, match=r"found other features than the champion of release 2, vw_cb_adf.*rollback 1"):
        training.plan([("shop", key)])
    croupier("rollout", "rollback", "1")
    assert told("app", "diff")["blocked"] == ""
    jobs = [training.train(**job) for job in training.plan([("shop", key)])]
    (verdict,) = training.judge(jobs)
    done = verdict_release.publish_verdict(verdict | {"promoted": "lin_ts", "kind": "promotion"})
    assert (done["published"], done["release"]) == (True, 4)


@pytest.mark.medium
def test_other_candidates_and_another_reward_are_said_and_happen(w):
    build_hours()
    train()
    before = retraining.read_process(w)
    change(w, '["vw_cb_adf", "lin_ts"]', '["vw_cb_adf", "lin_ucb"]')
    change(w, "default = 0.0", "default = 0.25")
    found = told("app", "diff")
    assert found["begins_anew"] is True
    assert found["changes"] == {
        "reward.default": [0.0, 0.25],
        "policies.candidates": [["vw_cb_adf", "lin_ts"], ["vw_cb_adf", "lin_ucb"]],
    }
    said = "\n".join(found["effects"])
    assert "judging begins anew (+lin_ucb, −lin_ts, against uniform)" in said
    assert "keep the reward they were joined with" in said
    assert build_hours() == []  # as it says: nothing joins them again by itself
    key = scheduled.encode_window(Workspace.open("shop"), _window(), now=WHEN)["features"]
    training.judge([training.train(**job) for job in training.plan([("shop", key)])])
    assert retraining.read_process(w).start >= before.start
    assert set(retraining.read_process(w).candidates) == {"vw_cb_adf", "lin_ucb"}


@pytest.mark.medium
def test_the_run_that_diff_names_joins_old_hours_by_the_changed_reward(w):
    def rewards():
        build_hours()
        found = versions.read_interactions(w.store, start=WHEN - timedelta(days=9), end=WHEN)
        return found.filter(found["reward_count"] == 0)["reward"].unique().to_list()

    joined = build_hours()
    train()
    assert rewards() == [0.0]
    change(w, "default = 0.0", "default = 0.25")
    assert rewards() == [0.0], "by itself nothing is joined anew"
    said = "\n".join(told("app", "diff")["effects"])
    first, after = re.search(r"Run build_features by hand from (\S+) to (\S+),", said).groups()
    conf = json.loads(re.search(r"--conf '(.*?)'", said)[1])
    assert conf == {"app": "shop", "start": first, "end": after}
    assert datetime.fromisoformat(first) == from_us(hour_start(min(joined)))
    assert datetime.fromisoformat(after) == from_us(hour_start(max(joined))) + timedelta(hours=1)
    build.join("shop", first, after)
    assert rewards() == [0.25]


@pytest.mark.medium
def test_the_same_features_judged_with_another_candidate_are_published_not_passed_over(w):
    build.collect("shop")
    build.join("shop", FIRST, LAST)
    key = build.encode("shop", FIRST, LAST)["features"]
    jobs = [training.train("shop", key, name) for name in ("vw_cb_adf", "lin_ts")]
    (verdict,) = training.judge(jobs)
    first = verdict_release.publish_verdict(verdict | {"promoted": "vw_cb_adf", "kind": "promotion"})
    waits = verdict_release.publish_verdict(verdict | {"promoted": "lin_ts", "kind": "promotion"})
    assert (first["release"], waits["published"], "waits" in waits) == (1, False, True)
    assert waits["why"].startswith("lin_ts was promoted and waits: release 1 is at 5%")
    croupier("rollout", "abort", "--yes")
    second = verdict_release.publish_verdict(verdict | {"promoted": "lin_ts", "kind": "promotion"})
    assert (second["published"], second["release"], second["candidate"]) == (True, 2, "lin_ts")
    assert [row["policies"]["candidate"] for row in bundle_store.listed(w.store)] == ["vw_cb_adf", "lin_ts"]
    assert same_features.serving(w).number == 2


def _window():
    w = Workspace.open("shop")
    return window.window(w.store, w.spec, now=WHEN)
