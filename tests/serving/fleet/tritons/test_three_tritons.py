"""Three hosts, each a Triton with its follower and its shipper in namespaces of its own, through kills, partitions, moves, a
rollout up and an abort: every decision once with its propensity, every reward once, one head, no unit of two roles."""

import json
import subprocess
import sys

import pytest

from tests.namespaces import alone, refused
from tests.redis_here import needs_redis
from tests.serving.fleet.tritons.machine import ROOT

WHY_NOT = refused()
pytestmark = [needs_redis, pytest.mark.slow, pytest.mark.alone, pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)]
AFTER_ABORT_SECONDS, BUSY_SECONDS = 2.0, 10.0


def lived(folder, what, *, seconds=0, partition=0):
    words = [str(word) for word in (folder, what, seconds, partition)]
    command = alone([sys.executable, "-m", "tests.serving.fleet.tritons.story", *words])
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    told = json.loads((folder / "told.json").read_text())
    print(json.dumps(told, indent=1))
    return told


def judged(told):
    log = told["log"]
    assert told["crowd"] == {"delivered": True, "refused": [], "errors": [], "fates": told["crowd"]["fates"]}
    assert {"accepted", "elsewhere", "duplicate"} <= told["crowd"]["fates"].keys()
    wrong = ("lost", "otherwise", "never asked", "doubled", "rewards lost", "not joined", "counted twice", "never sent")
    assert {name: log[name] for name in wrong} == {name: [] for name in wrong}
    assert log["interactions"] == log["answered"] + log["unanswered"]
    assert max(told["heads"]["apart"]) < 1e-9, told["heads"]
    assert told["heads"]["learnt"] == log["rewarded"] - told["by clients"]["rewarded"], "what hosts decided"
    assert told["strays"] == [], "a unit belongs to one role, whichever host is asked"
    assert told["roles"] == ["candidate", "champion"]
    assert told["share of who does not reach the store"] == 0.05, "it serves as before"
    assert told["candidate where the store was not reached"] > 0, "it serves as before"
    limit = AFTER_ABORT_SECONDS + min(told["stalled"], BUSY_SECONDS)  # where processes had to wait for a processor
    assert [seconds for seconds in told["candidate after the abort"] if seconds > limit] == []
    assert told["ended"] == [0, 0, 0], f"the shipper's last turn: {told['shippers said']}"


@pytest.mark.timeout(1800)
def test_through_one_of_each_fault(tmp_path):
    judged(lived(tmp_path, "faults", partition=5))


@pytest.mark.full
@pytest.mark.timeout(3600)
def test_through_ten_minutes_of_faults_with_partitions_of_a_minute(tmp_path):
    told = lived(tmp_path, "faults", seconds=600, partition=60)
    judged(told)
    assert told["rounds"] >= 2


@pytest.mark.full
@pytest.mark.timeout(1800)
def test_the_breaker_of_one_host_ends_the_rollout_on_all(tmp_path):
    told = lived(tmp_path, "breaker")
    why = "harm shown: breaker: RuntimeError: out of memory (on host-1)"
    assert told["ended by"] == {"stage": "aborted", "reason": why, "by": "watch"}
