"""docker-compose.yml started for real: what `make rehearse` sees."""

import json
import subprocess
import sys

import pytest

from tests.rehearsal.__main__ import missing
from tests.rehearsal.given import ROOT
from tests.rehearsal.images import bases


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.full
@pytest.mark.parametrize("more", [[], ["--images"]], ids=["machine", "images"])
def test_production_starts_turns_and_survives_the_death_of_each_service(more):
    if why := missing() or (bases.lacking() if more else ""):
        pytest.skip(why)
    command = [sys.executable, "-m", "tests.rehearsal", *more]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads((ROOT / "var" / "rehearsal" / "logs" / "summary.json").read_text())
    assert told["release"] >= 2
    assert told["account"] | {"lost": 0, "doubled": 0, "otherwise": 0, "rewards_lost": 0} == told["account"]
    assert told["account"]["answered"] > 10_000
    assert set(told["healthy_after_kill_seconds"]) == {
        "postgres", "redis", "airflow-apiserver", "airflow-scheduler", "airflow-dag-processor", "airflow-triggerer",
        "airflow-worker", "triton", "shipper", "follower",
    }  # fmt: skip
