"""The chart's serving pod and its turn, run for real: pod_here.py says what differs from a cluster."""

import json
import subprocess
import sys

import pytest

from tests.kubernetes_here import ROOT, needs_helm
from tests.namespaces import alone, refused

WHY_NOT = refused()
pytestmark = [needs_helm, pytest.mark.slow, pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)]


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pod")
    done = subprocess.run(
        alone([sys.executable, "-m", "tests.serving.deploy.pod_here", folder]),
        cwd=ROOT, capture_output=True, text=True, timeout=550, check=False,
    )  # fmt: skip
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    return json.loads((folder / "told.json").read_text())


def test_a_new_app_begins_by_the_turn_and_is_served_by_the_pod(told):
    assert [code for code, _ in told["turn"]] == [0, 0, 0], told["turn"]
    assert "release 1 is the first: all arms alike" in told["turn"][1][1]
    assert len(told["decided"]) == 40
    assert {(propensity, release) for _, propensity, release in told["decided"].values()} == {(1 / 3, 1)}
    assert told["health"][0] == 0, told["health"]


def test_the_exporter_tells_of_the_app(told):
    assert told["declare"] == [[0, ""], ["app.toml"]], "a catalogue that is copied at each start would be the newest"
    assert {line.partition(" ")[2] for line in told["exported"] if "croupier_up" in line} == {"1.0"}
    assert {line.partition(" ")[2] for line in told["exported"] if "release_number" in line} == {"1.0"}


def test_whoever_ends_has_shipped_all_it_had(told):
    """The shipper looked once, at its start, when there was nothing: what is in the store came with SIGTERM."""
    assert json.loads(told["unshipped"])["spool"]["decisions"] == 40
    assert told["ended"] == {
        "triton": 0,
        "exporter": told["ended"]["exporter"],
        "follower": told["ended"]["follower"],
        "shipper": 0,
    }
    shipped = {
        row["event_id"]: [row["arm"], row["propensity"], row["release"]] for row in told["in the store"]["decisions"]
    }
    assert (len(told["in the store"]["decisions"]), shipped) == (40, told["decided"])
    rewards = [(row["event_id"], row["value"]) for row in told["in the store"]["rewards"]]
    assert sorted(rewards) == sorted((event, float(i % 2)) for i, event in enumerate(told["decided"]))
