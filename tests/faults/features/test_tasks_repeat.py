"""The tasks of build_features may be run twice, several at once, or be killed half-way: the store ends up the same."""

import hashlib
import os
import random
import shutil
import signal
from pathlib import Path

import orjson
import pytest

from croupier.features import build
from croupier.features.interactions.versions import newest
from croupier.features.store import layout
from croupier.features.workspace import Interval, Workspace
from tests import shop
from tests.faults.killed import finish, start

START, END = "2026-09-21T00:00+00:00", "2026-09-22T00:00+00:00"
TASKS = ("collect", "join", "validate", "encode")


def run(var: Path, task: str) -> None:
    """One task as the DAG calls it, in a process of its own. `join` leaves its account behind, as XCom would."""
    if task == "collect":
        build.collect("shop")
    elif task == "join":
        account = build.join("shop", START, END)
        scratch = var / f"account.{os.getpid()}"
        scratch.write_bytes(orjson.dumps(account))
        scratch.rename(var / "account.json")
    elif task == "validate":
        report, _ = build.validate("shop", START, END, orjson.loads((var / "account.json").read_bytes()))
        report.or_raise()
    else:
        build.encode("shop", START, END)


def state(var: Path, monkeypatch) -> dict:
    """All that counts: log, interactions and accounts of the newest versions, features, the audit's evidence. Not when
    it was done, nor by how many versions, nor pages for people, nor sums that are to be made anew."""
    monkeypatch.setenv("CROUPIER_VAR", str(var))
    w, span = Workspace.open("shop"), Interval.parse(START, END)
    found = newest(w.store, start=span.start, end=span.end)
    left_out = ("reports/", "interactions/", "late/", layout.AUDIT_DAYS)
    kept = [k for k in w.store.list("") if not k.startswith(left_out) and "meta.json" not in k]
    body = {key: w.store.get(key) for key in kept} | {hour: w.store.get(v.data) for hour, v in found.items()}
    return {key: hashlib.sha256(raw).hexdigest() for key, raw in body.items()} | {
        f"account {hour}": v.account for hour, v in found.items()
    }


@pytest.fixture(scope="module")
def untouched(tmp_path_factory):
    """A host with a log, before any task has run."""
    var = tmp_path_factory.mktemp("var")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CROUPIER_VAR", str(var))
        shop.write(600, seed=5)
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
def test_twice_and_three_at_once(untouched, once, tmp_path, monkeypatch):
    expected, _ = once
    assert sum(v["interactions"] for k, v in expected.items() if k.startswith("account")) == 600
    assert any(key.startswith("features/") for key in expected)
    for name, copies in (("twice", 1), ("at once", 3)):
        var = tmp_path / name
        shutil.copytree(untouched, var)
        for task in TASKS:
            for _ in range(2 if copies == 1 else 1):
                running = [start(run, var, task) for _ in range(copies)]
                for process in running:
                    process.join()
                assert [p.exitcode for p in running] == [0] * copies, (name, task)
        assert state(var, monkeypatch) == expected, name


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, *(pytest.param(s, marks=pytest.mark.full) for s in range(2, 12))])
def test_killed_half_way_and_run_again(untouched, once, tmp_path, monkeypatch, seed):
    """Each task is killed at a random moment of its life, and run again."""
    expected, took = once
    var, rng = tmp_path / "var", random.Random(seed)
    shutil.copytree(untouched, var)
    ends = []
    for task in TASKS:
        process = start(run, var, task, rng.uniform(0.1, 0.8) * took[task])
        process.join()
        ends.append(process.exitcode)
        finish(run, var, task)
    assert ends.count(0) + ends.count(-signal.SIGPROF) == len(TASKS)
    assert ends.count(-signal.SIGPROF) >= 2
    assert state(var, monkeypatch) == expected
