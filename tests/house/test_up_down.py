"""`make up` and `make down`: both servers answer, the loop turns by itself, and afterwards no process is left."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from datetime import UTC, datetime
from pathlib import Path

import orjson
import psutil
import pytest

from croupier.dags.local.rest import Rest
from croupier.features import clock
from croupier.features.interactions import hours, versions, window
from croupier.features.store import layout
from croupier.features.utc import DAY, HOUR, hour_start
from croupier.features.workspace import Workspace
from croupier.features.worlds.reels import World
from croupier.serving.client.client import Client
from croupier.serving.health.examine import last_said
from croupier.serving.release import bundle_store, rollout_store
from croupier.serving.simulation.month import visitors
from croupier.serving.simulation.month.crowd import Crowd
from croupier.serving.triton.server import Ports

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]  # a busy machine takes its time
ROOT = Path(__file__).resolve().parents[2]
SPEED = 120.0  # an hour of the loop's clock is half a minute
DAGS = ("collect_events", "build_features", "train_and_gate", "watch_rollout", "monitor")


def groups_alive(groups):
    return [p for p in psutil.process_iter(["pid"]) if _group(p.pid) in groups and p.status() != psutil.STATUS_ZOMBIE]


def listening(groups):
    """Every (address, port) on which a process of these groups listens."""
    found = set()
    for process in groups_alive(groups):
        with contextlib.suppress(psutil.NoSuchProcess):
            listens = [c for c in process.net_connections("inet") if c.status == psutil.CONN_LISTEN]
            found |= {(c.laddr.ip.removeprefix("::ffff:"), c.laddr.port) for c in listens}
    return found


def _group(pid):
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return None


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    """`make up` over an app of the reels world, on a clock that runs 120 times as fast; then `make down`."""
    with pytest.MonkeyPatch.context() as patch:
        var, port = tmp_path_factory.mktemp("var"), Ports.free().grpc
        for name, value in {
            "VAR": str(var),
            "APP": "reels",
            "AIRFLOW_PORT": str(port),
            "QUALITY_PAGES": "false",
            "CLOCK": clock.setting(datetime(2026, 3, 1, 12, tzinfo=UTC), speed=SPEED),
        }.items():
            patch.setenv(f"CROUPIER_{name}", value)
        w = Workspace.open("reels")
        visitors.declare(w, World())  # before a server is named: release 1 waits for its start
        patch.setenv("CROUPIER_TRITON", f"127.0.0.1:{Ports.free().grpc}")
        w = Workspace.open("reels")
        text = (w.home / "app.toml").read_text().replace('["vw_cb_adf", "neural_linear"]', '["lin_ts"]')
        (w.home / "app.toml").write_text(text.replace('every = "6h"', 'every = "6h"\nmin_rows = 8000'))
        up = run("up", 900)
        assert up.returncode == 0, up.stdout + up.stderr
        airflow = int((var / "airflow" / "standalone.pid").read_text().split()[0])
        groups = {airflow, int(json.loads((w.home / "triton.pid").read_text())["pid"])}
        try:
            yield w, port, groups
        finally:
            down = run("down", 120)
        left = groups_alive(groups)
        for process in left:
            os.kill(process.pid, signal.SIGKILL)
        assert (down.returncode, left) == (0, []), down.stderr


def run(verb, seconds):
    command = [sys.executable, "-m", "croupier.dags.local.standalone", verb]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=seconds, check=False)


def test_up_answers_and_is_left_alone_by_a_second(stack):
    w, port, groups = stack
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v2/monitor/health") as reply:
        health = json.load(reply)
    assert health["scheduler"]["status"] == "healthy"
    assert len({_group(p.pid) for p in groups_alive(groups)}) == 2
    triton = json.loads((w.home / "triton.pid").read_text())["ports"]
    assert listening(groups) == {("127.0.0.1", each) for each in (port, *triton.values())}, "an unknown port"
    again = run("up", 120)
    assert (again.returncode, again.stderr.startswith(f"croupier: port {port} is busy")) == (1, True)
    assert json.loads((w.home / "triton.pid").read_text())["pid"] in groups, "what runs is left alone"
    assert len({_group(p.pid) for p in groups_alive(groups)}) == 2


def test_the_loop_turns_on_its_own_schedule(stack):
    """A crowd asks; nobody starts a run. Hours are built when they are mature, a training falls due, its verdict is
    published, the rollout is looked at, and the app's health, too. That needs five hours of the loop's clock, three minutes of an idle machine;
    a busy one, on which Airflow falls behind that clock, is given ten times as long."""
    w, port, _ = stack
    airflow = Rest(w.settings.var / "airflow", port)
    for dag in DAGS:
        airflow.unpause(dag)
    with Client(w.settings.triton, deadline_ms=5000.0) as client:
        people = visitors.Visitors(Crowd(world=World(), start=clock.now_us() // DAY * DAY, per_day=200_000), client)
        deadline = time.monotonic() + 1800
        while (
            time.monotonic() < deadline
            and not ((state := rollout_store.read_state(w.store)).share and last_said(w))
            and not people.refused
        ):
            people.come()
            time.sleep(1.0)
    runs = {dag: airflow.runs(dag) for dag in DAGS}
    assert state.share == 0.05, (state, runs)
    assert people.refused == 0
    verdict = orjson.loads(w.store.get(f"verdicts/{window.last_features(w.store)}.json"))
    assert (verdict["kind"], verdict["promoted"]) == ("promotion", "lin_ts")
    assert bundle_store.current(w.store) == state.release == 2
    built = hours.sound(w.store, start=datetime(2026, 3, 1, tzinfo=UTC), end=clock.now())
    trained = window.last_training(w.store)["hours"]
    assert set(trained) <= set(built)
    rows = sum(trained.values())
    assert rows >= 8000
    judged = verdict["evaluation"]["rows"]
    assert 0 <= judged - 0.4 * rows < 300, "the later 40 %, and who came in the same second as the first of them"
    kinds = {dag: airflow.kinds(dag, runs[dag]) for dag in DAGS}
    assert {dag for dag in DAGS if kinds[dag] == {"scheduled"}} == set(DAGS) - {"train_and_gate"}
    assert kinds["train_and_gate"] == {"asset_triggered"}
    said = last_said(w)
    # an Airflow that falls behind a clock that runs so fast is late, and that is said
    assert (said["app"], {s["about"] for s in said["symptoms"]} - {"log", "hours", "rollout"}) == ("reels", set()), said
    joined = sorted(versions.newest(w.store, start=datetime(2026, 3, 1, tzinfo=UTC), end=clock.now()))
    assert set(built) <= set(joined)
    reach = (hour_start(joined[-1]) - hour_start(joined[0])) // HOUR + 1  # health reads an hour before it is validated
    assert 0 < said["known"] <= reach, "hours from the first to the last one that was joined by then"
    assert b"reels" in w.store.get(layout.report(layout.HEALTH_PAGE))
