"""train, judge and publish of train_and_gate, killed half-way and run again: the store ends as if nothing had happened."""

import hashlib
import random
import shutil
import signal
from pathlib import Path

import orjson
import pytest

from croupier.features import build
from croupier.features.workspace import Workspace
from croupier.models import training
from croupier.serving.operate import verdict_release
from croupier.serving.release import bundle_store, rollout_store
from tests import shop
from tests.faults.killed import finish, start

START, END = "2026-09-21T00:00+00:00", "2026-09-22T00:00+00:00"
TASKS = ("train lin_ts", "train vw_cb_adf", "judge", "publish")


def run(var: Path, task: str) -> None:
    """One task as the DAG calls it; what XCom would carry lies in files under `var`."""
    verb, _, policy = task.partition(" ")
    features = (var / "features").read_text()
    if verb == "train":
        (var / f"{policy}.job").write_bytes(orjson.dumps(training.train("shop", features, policy)))
    elif verb == "judge":
        jobs = [orjson.loads(path.read_bytes()) for path in sorted(var.glob("*.job"))]
        (var / "verdicts").write_bytes(orjson.dumps(training.judge(jobs)))
    else:
        for verdict in orjson.loads((var / "verdicts").read_bytes()):
            verdict_release.publish_verdict(verdict | {"promoted": "lin_ts"})  # too few rows for the gate's own


def state(var: Path, monkeypatch) -> dict:
    """All that counts: trained policies, the verdict, the looks, what serves and at which stage. Not when, nor where."""
    monkeypatch.setenv("CROUPIER_VAR", str(var))
    w = Workspace.open("shop")
    number = bundle_store.current(w.store)
    release = f"releases/{number:06d}"
    held = [k for k in w.store.list("") if k.startswith(("candidates/", f"{release}/champion", f"{release}/candidate"))]
    moved = rollout_store.read_state(w.store)
    verdict = orjson.loads(w.store.get(f"verdicts/{(var / 'features').read_text()}.json"))
    looks = orjson.loads(w.store.get("looks/uniform.json"))
    whole = [row["policies"] for row in bundle_store.listed(w.store) if row["number"] == number]
    return {key.removeprefix(release): hashlib.sha256(w.store.get(key)).hexdigest() for key in held} | {
        "verdict": verdict["evaluation"],
        "looks": looks,
        "whole": whole,
        "rollout": (moved.stage, moved.share, len(moved.history)),
        "serves": moved.release == number,
    }


@pytest.fixture(scope="module")
def untouched(tmp_path_factory):
    """An encoded log, before any policy is trained."""
    var = tmp_path_factory.mktemp("var")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CROUPIER_VAR", str(var))
        shop.write(600, seed=5)
        build.collect("shop")
        build.join("shop", START, END)
        (var / "features").write_text(build.encode("shop", START, END)["features"])
    return var


@pytest.fixture(scope="module")
def once(untouched, tmp_path_factory):
    """(state, CPU seconds of each task) of a run in which nothing went wrong."""
    var = tmp_path_factory.mktemp("once") / "var"
    shutil.copytree(untouched, var)
    took = {task: finish(run, var, task) for task in TASKS}
    with pytest.MonkeyPatch.context() as patch:
        return state(var, patch), took


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, *(pytest.param(s, marks=pytest.mark.full) for s in range(1, 12))])
def test_killed_half_way_and_run_again(untouched, once, tmp_path, monkeypatch, seed):
    expected, took = once
    var, rng = tmp_path / "var", random.Random(seed)
    shutil.copytree(untouched, var)
    ends = []
    for task in TASKS:
        process = start(run, var, task, rng.uniform(0.1, 0.9) * took[task])
        process.join()
        ends.append(process.exitcode)
        finish(run, var, task)
    assert ends.count(0) + ends.count(-signal.SIGPROF) == len(TASKS)
    assert ends.count(-signal.SIGPROF) >= 2
    assert state(var, monkeypatch) == expected
