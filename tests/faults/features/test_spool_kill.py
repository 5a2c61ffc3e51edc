"""No acknowledged decision is lost: kill -9 at random moments, and a power loss that takes all that was not synced."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import orjson
import pytest

from croupier.features.log.spool import Spool
from tests.faults.durability import Found, judge

ROOT = Path(__file__).resolve().parents[3]
MEMORY = Path("/dev/shm")


def run_and_kill(path: Path, durability: str, name: str, seconds: float, **env: str) -> tuple[list[str], list[str]]:
    """Event ids asked for and acknowledged by a process that was killed `seconds` after its first answer."""
    command = [sys.executable, "-m", "tests.faults.appender", str(path), durability, name]
    with subprocess.Popen(command, cwd=ROOT, env=os.environ | env, stdout=subprocess.PIPE) as process:
        first = process.stdout.readline() + process.stdout.readline()
        time.sleep(seconds)
        os.kill(process.pid, signal.SIGKILL)
        lines = (first + process.stdout.read()).decode().splitlines()
    whole = [line for line in lines if line[:2] in ("? ", "! ")]
    return [line[2:] for line in whole if line[0] == "?"], [line[2:] for line in whole if line[0] == "!"]


def logged(path: Path) -> list[str]:
    spool = Spool(path)
    ids = [orjson.loads(body)["event_id"] for _, body in spool.read("decisions", limit=10**9)]
    assert spool.db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    spool.close()
    return ids


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("rounds", [3, pytest.param(50, marks=pytest.mark.full)])
def test_kill_9_loses_no_acknowledged_decision(tmp_path, rounds):
    rng, path = random.Random(rounds), tmp_path / "log.db"
    asked, acknowledged = [], []
    for i in range(rounds):
        new = run_and_kill(path, "FULL", f"r{i}", rng.random() * 0.3)
        asked += new[0]
        acknowledged += new[1]
    assert len(acknowledged) > 10 * rounds
    assert judge(asked=asked, acknowledged=acknowledged, logged=logged(path)) == Found((), (), ())


@pytest.fixture(scope="module")
def shim(tmp_path_factory):
    if not shutil.which("cc"):
        pytest.skip("no C compiler")
    library = tmp_path_factory.mktemp("shim") / "power_loss.so"
    source = Path(__file__).with_name("power_loss.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
    return str(library)


def lose_power(path: Path) -> None:
    """Database and write-ahead log as last synced; the shared-memory index is no file of the disk's."""
    for file in (path, path.with_name(path.name + "-wal")):
        synced = file.with_name(file.name + ".synced")
        shutil.copy(synced, file) if synced.exists() else file.unlink(missing_ok=True)
    path.with_name(path.name + "-shm").unlink(missing_ok=True)


@pytest.mark.parametrize("rounds", [2, pytest.param(20, marks=pytest.mark.full)])
def test_a_power_loss_takes_nothing_that_was_acknowledged(tmp_path, shim, rounds):
    rng, path = random.Random(rounds), tmp_path / "log.db"
    asked, acknowledged = [], []
    for i in range(rounds):
        new = run_and_kill(path, "FULL", f"r{i}", 0.2 + rng.random(), LD_PRELOAD=shim)
        lose_power(path)
        asked += new[0]
        acknowledged += new[1]
    assert len(acknowledged) > 100
    assert judge(asked=asked, acknowledged=acknowledged, logged=logged(path)) == Found((), (), ())


def test_a_power_loss_does_take_the_last_moments_of_normal_durability(tmp_path, shim):
    """So the test above can fail: with NORMAL the write-ahead log is not synced at every commit."""
    path = tmp_path / "log.db"
    asked, acknowledged, lost = [], [], ()
    for i in range(20):  # whether a moment falls between two syncs is luck
        new = run_and_kill(path, "NORMAL", f"r{i}", 0.3, LD_PRELOAD=shim)
        lose_power(path)
        asked, acknowledged = asked + new[0], acknowledged + new[1]
        found = judge(asked=asked, acknowledged=acknowledged, logged=logged(path))
        assert (found.unexpected, found.duplicates) == ((), ())
        if lost := found.lost:
            break
    assert len(lost) > 0


def test_the_judge_finds_every_planted_fault_and_only_those():
    rng = random.Random(0)
    for _ in range(100):
        asked = [f"e{i}" for i in range(200)]
        acknowledged = rng.sample(asked, 150)
        unsure = [event for event in asked if event not in acknowledged]
        truth = acknowledged + rng.sample(unsure, 20)
        assert judge(asked=asked, acknowledged=acknowledged, logged=truth).clean
        lost, twice, strange = rng.sample(acknowledged, 3), rng.sample(truth, 3), [f"x{i}" for i in range(3)]
        bad = [event for event in truth if event not in lost] + [e for e in twice if e not in lost] + strange
        rng.shuffle(bad)
        found = judge(asked=asked, acknowledged=acknowledged, logged=bad)
        assert set(found.lost) == set(lost)
        assert set(found.duplicates) == set(twice) - set(lost)
        assert set(found.unexpected) == set(strange)
