"""A cluster as the chart makes it: a head that computes nothing, a worker, a token, and a caller outside, by `ray://`."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("ray", reason="Ray is an extra: pip install 'croupier[ray]'")

from croupier.features.engines.engine import LocalEngine
from croupier.features.engines.ray_engine import RayEngine
from tests import namespaces
from tests.features.engines import counted

pytestmark = [pytest.mark.slow]
ROOT = Path(__file__).resolve().parents[3]
HEAD = ("--head", "--num-cpus=0", "--include-dashboard=false")  # as KubeRay writes the chart's rayStartParams
WORKER = ("--address=127.0.0.1:6379", "--num-cpus=2")
JOBS = [{"x": x} for x in range(6)]


def ray(*words: str) -> list[str]:
    return [sys.executable, "-m", "ray.scripts.scripts", *words]


def inside(out: Path) -> None:
    """In namespaces of its own: the cluster, a caller with its token, and one with another."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    for words in (HEAD, WORKER):
        subprocess.run(ray("start", *words), check=True)
    found = RayEngine(address="ray://127.0.0.1:10001").map(counted.squared, JOBS)
    check = ray("health-check", "--address", "127.0.0.1:6379")
    known, stranger = [
        subprocess.run(check, env=os.environ | given, check=False).returncode
        for given in ({}, {"RAY_AUTH_TOKEN": "another"})
    ]
    out.write_text(json.dumps({"found": found, "known": known, "stranger": stranger}))


def test_who_has_the_token_may_send_jobs_from_outside(tmp_path):
    if why := namespaces.refused():
        pytest.skip(why)
    out = tmp_path / "found.json"
    command = namespaces.alone([sys.executable, "-m", "tests.features.engines.test_ray_client", str(out)])
    told = os.environ | {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "t" * 64, "HOME": str(tmp_path)}
    done = subprocess.run(command, cwd=ROOT, env=told, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    expected = [row["square"] for row in LocalEngine().map(counted.squared, JOBS)]
    said = json.loads(out.read_text())
    assert [row["square"] for row in said["found"]] == expected
    assert (said["known"], said["stranger"] != 0) == (0, True)


if __name__ == "__main__":
    inside(Path(sys.argv[1]))
