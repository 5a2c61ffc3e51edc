"""Three apps in one real Airflow, in one run that their features wake: one is well, one's training fails, and one's app.toml
was broken after its features were built. `dag.test()` knows no asset's events, so a scheduler has to run here.
"""

import json
import time

import pytest

from croupier.dags.local.rest import BUSY, AirflowError
from croupier.dags.local.standalone import Airflow
from croupier.features import build, scheduled
from croupier.features.store import layout
from croupier.serving.release import bundle_store
from croupier.serving.triton.server import Ports
from tests.dags.small_app import small_app

pytestmark = [pytest.mark.slow, pytest.mark.full, pytest.mark.timeout(2400)]
INTERVAL = ("2026-09-21T00:00:00Z", "2026-09-23T00:00:00Z")
DAG = "train_and_gate"


def app_with_features(name):
    """The workspace of a small app, and the key of its features."""
    w, *_ = small_app(name, 'candidates = ["vw_cb_adf", "lin_ts"]')
    build.collect(name)
    scheduled.or_raise(scheduled.validate(name, INTERVAL, scheduled.join(name, INTERVAL)))
    return w, scheduled.encode(name, INTERVAL)["features"]


def edited(w, more):
    toml = w.home / "app.toml"
    toml.write_text(toml.read_text() + more)


def log_of(airflow, run, task):
    folder = airflow.home / layout.AIRFLOW_LOGS / f"dag_id={DAG}" / f"run_id={run}" / f"task_id={task}"
    return "".join(path.read_text() for path in sorted(folder.rglob("*.log")))


def posted(airflow, event):
    """Once more where SQLite was locked: an event that came twice names the same features."""
    for _ in range(20):
        try:
            return airflow.call("POST", "/api/v2/assets/events", event)
        except AirflowError as error:
            if BUSY not in str(error):
                raise
            time.sleep(1.0)
    raise AssertionError(f"Airflow's database was locked at each of 20 tries, expected it to take {event}")


def woken_by_all(airflow, keys):
    """The run that the features of all these apps woke. Its scheduler may look between two of them: then once more."""
    airflow.unpause(DAG)  # a paused DAG is woken by nothing
    (asset,) = airflow.call("GET", "/api/v2/assets?uri_pattern=croupier")["assets"]
    for _ in range(5):
        before = airflow.runs(DAG)
        for name, key in keys.items():
            event = {"asset_id": asset["id"], "extra": {"app": name, "features": key}}
            posted(airflow, event)
        run = airflow.woken(DAG, before, timeout_seconds=900.0)
        events = airflow.call("GET", f"/api/v2/dags/{DAG}/dagRuns/{run}/upstreamAssetEvents")["asset_events"]
        if {event["extra"]["app"] for event in events} == set(keys):
            return run
    raise AssertionError(f"no run was woken by all of {sorted(keys)}")


def test_in_one_run_the_sound_app_is_published_and_the_others_are_named(tmp_path, monkeypatch):
    monkeypatch.setenv("CROUPIER_VAR", str(tmp_path))
    made = {name: app_with_features(name) for name in ("alpha", "beta", "gamma")}
    edited(made["beta"][0], "[policies.parameters.vw_cb_adf]\nnonsense = 1\n")
    edited(made["gamma"][0], "[rollout\n")
    with Airflow(tmp_path / "airflow", Ports.free().grpc, {"CROUPIER_VAR": str(tmp_path)}) as airflow:
        run = woken_by_all(airflow, {name: key for name, (_, key) in made.items()})
        with pytest.raises(AirflowError, match=rf"{DAG} run .* failed in"):
            airflow.wait(DAG, run)
        path = f"/api/v2/dags/{DAG}/dagRuns/{run}"
        states = {
            (t["task_id"], t["rendered_map_index"]): t["state"]
            for t in airflow.call("GET", f"{path}/taskInstances")["task_instances"]
        }
        published = airflow.result(DAG, run, "publish")
        assert airflow.kinds(DAG, [run]) == {"asset_triggered"}
    print(json.dumps({" ".join(filter(None, name)): state for name, state in states.items()}))
    trained = {name: state for (task, name), state in states.items() if task == "train"}
    assert trained == {
        "alpha lin_ts": "success",
        "alpha vw_cb_adf": "success",
        "beta lin_ts": "success",
        "beta vw_cb_adf": "failed",
    }
    ended = {task: state for (task, name), state in states.items() if task != "train"}
    assert (ended["publish"], ended["refuse"]) == ("success", "failed")
    assert [(outcome["app"], outcome["release"]) for outcome in published] == [("alpha", 1)]
    assert bundle_store.current(made["alpha"][0].store) == 1
    for name in ("beta", "gamma"):
        assert made[name][0].store.list("releases/") == []
    said = log_of(airflow, run, "refuse")
    assert "beta" in said
    assert "gamma" in said
    assert "app.toml" in said
    assert "alpha" not in said
