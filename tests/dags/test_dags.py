"""The DAGs parse fast and without errors, run on a real small log, and a second run of an interval changes nothing."""

import hashlib
import json
import re

import pytest

from croupier.features.store import layout
from tests.dags.small_app import small_app

pytestmark = pytest.mark.slow
INTERVAL = {"start": "2026-09-21T00:00:00Z", "end": "2026-09-23T00:00:00Z"}


def test_they_parse_fast_and_explain_themselves(dags):
    parsed = dags("parse")
    assert parsed["errors"] == {}
    assert parsed["tasks"]["watch_rollout"] == ["apps", "ask", "look", "request_approval"]
    assert parsed["tasks"]["approve_rollout"] == ["approve", "confirm"]
    assert parsed["tasks"]["collect_events"] == ["apps", "collect", "restate", "retain"]
    assert parsed["tasks"]["monitor"] == ["alarm", "apps", "examine"]
    assert parsed["tasks"]["build_features"] == ["apps", "collect", "encode", "join", "refuse", "validate"]
    assert parsed["tasks"]["train_and_gate"] == ["approve", "ask", "judge", "plan", "publish", "refuse", "train"]
    assert parsed["tasks"]["tune"] == ["apps", "tune"]
    assert max(parsed["seconds"].values()) < 1.0, parsed["seconds"]
    for name, text in parsed["docs"].items():
        assert "**Safe to repeat**" in text, f"{name} does not tell its operator whether it may be repeated"


def digests(w):
    """Everything in the store but reports, which also say against which release, by now, the interval was held, and
    but the audit's sums of days: a judged interval marks them anew."""
    keys = [k for k in w.store.list("") if not k.startswith(("reports/", layout.AUDIT_DAYS))]
    return {k: hashlib.sha256(w.store.get(k)).hexdigest() for k in keys}


def test_a_log_becomes_a_release_and_a_second_run_changes_nothing(dags, var):
    w, _, rewards = small_app("twice")
    first = dags("test", "build_features", json.dumps({"app": "twice", **INTERVAL}))
    assert first["state"] == "success", first
    account = first["returned"]["join"]
    assert (account["decisions_in"], account["interactions"]) == (1500, 1500)
    assert account["rewards_in"] == account["on_time"] == len(rewards)
    key = first["returned"]["encode"]["features"]

    gate = dags("test", "train_and_gate", json.dumps({"app": "twice", "features": key}))
    assert gate["state"] == "success", gate
    assert gate["tasks"]["approve"] == "skipped"
    (verdict,) = gate["returned"]["judge"]
    assert set(verdict["evaluation"]["policies"]) == {"uniform", "vw_cb_adf", "neural_linear", "logging"}
    (published,) = gate["returned"]["publish"]
    assert published["release"] == 1
    assert set(gate["named"].values()) == {"twice vw_cb_adf", "twice neural_linear"}
    for name, judged in verdict["evaluation"]["policies"].items():
        for condition in judged["conditions"]:
            outcome = {True: "passed", False: "NOT PASSED", None: "NOT CHECKED"}[condition["passed"]]
            assert re.search(rf"^ *{condition['name']} .* {outcome}", dags.said, re.M), (name, condition)
    assert f"/croupier/twice/gate/{key}/index.html" in dags.said
    assert "twice: release 1 was published, the champion alone" in dags.said
    assert dags("links", "train_and_gate", gate["run"], "judge") == {"Report": f"/croupier/twice/gate/{key}/index.html"}

    before = digests(w)
    again = dags("test", "build_features", json.dumps({"app": "twice", **INTERVAL}))
    assert again["returned"]["encode"]["features"] == key
    gate_again = dags("test", "train_and_gate", json.dumps({"app": "twice", "features": key}))
    assert gate_again["returned"]["publish"][0] == {
        "app": "twice",
        "release": 1,
        "published": False,
        "why": "release 1 was made of this verdict before",
    }
    assert digests(w) == before


def test_a_training_that_fails_is_red_and_its_app_is_not_judged_by_the_others(dags, var):
    """Of several apps the others are judged and published (tests/models/test_each_app.py)."""
    w, *_ = small_app("fails", seed=2)
    built = dags("test", "build_features", json.dumps({"app": "fails", **INTERVAL}))
    toml = w.home / "app.toml"
    toml.write_text(toml.read_text() + "[policies.parameters.vw_cb_adf]\nnonsense = 1\n")
    key = built["returned"]["encode"]["features"]
    gate = dags("test", "train_and_gate", json.dumps({"app": "fails", "features": key}))
    assert sorted(state for name, state in gate["tasks"].items() if name.startswith("train[")) == ["failed", "success"]
    states = {name: gate["tasks"][name] for name in ("plan", "judge", "publish", "refuse")}
    assert states == {"plan": "success", "judge": "skipped", "publish": "skipped", "refuse": "failed"}
    assert gate["state"] == "failed"
    assert w.store.list("releases/") == []


def test_a_broken_log_stops_the_run_and_names_the_rule(dags, var):
    w, decisions, _ = small_app("broken", seed=1)
    from dataclasses import replace

    spool = w.spool()
    spool.append_decisions([replace(d, event_id=d.event_id + "x", propensity=0.9) for d in decisions[:20]])
    spool.close()
    run = dags("test", "build_features", json.dumps({"app": "broken", **INTERVAL}))
    assert run["state"] == "failed"
    assert run["tasks"]["join[0]"] == "success"
    assert run["tasks"]["validate[0]"] == "failed"
    assert not [k for k, v in run["tasks"].items() if v == "success" and k == "encode[0]"]
    assert re.search("features/", " ".join(w.store.list(""))) is None
    (rows,) = [key for key in w.store.list("quarantine/") if key.endswith("/quarantine.parquet")]
    assert rows.endswith("/quarantine.parquet"), "not among the reports, which are shown"
    assert (w.home / rows).exists()
    assert [k for k in w.store.list("reports/") if k.endswith(".parquet")] == []
    assert list((w.home / "reports").rglob("*.parquet")) == []
