"""A store that an earlier version wrote is read, and its release is served.

`tests/older/store` was made by the last version whose modules had no floors: two releases (uniform; LinTS beside it), the
log of an hour, and its interactions. Its model.py files import `serving.triton`, which is no module any more.
"""

import json
import shutil
from datetime import datetime
from pathlib import Path

import pytest

from croupier.features.interactions.versions import read_interactions
from croupier.features.store.storage import open_store
from croupier.serving.client.client import Client
from croupier.serving.operate import deployment, publish
from croupier.serving.release import bundle, rollout_store
from croupier.serving.release.bundle import MODEL, ReleaseRefused
from croupier.serving.triton.server import Ports
from tests.serving.ended_at_once import EndedAtOnce

OLDER = Path(__file__).resolve().parents[2] / "older"
EXPECTED = json.loads((OLDER / "expected.json").read_text())
ARMS = ("a0", "a1", "a2", "a3")


@pytest.fixture
def store(tmp_path):
    shutil.copytree(OLDER / "store", tmp_path / "store")
    return open_store(str(tmp_path / "store"))


def test_its_log_and_its_interactions_are_read(store):
    start, end = datetime.fromisoformat(EXPECTED["start"]), datetime.fromisoformat(EXPECTED["end"])
    frame = read_interactions(store, start=start, end=end)
    assert (len(frame), frame["reward"].sum()) == (EXPECTED["rows"], EXPECTED["rewards"])
    assert sorted(frame["event_id"])[0] == EXPECTED["first"]
    state = json.loads(rollout_store.read_state(store).to_json())
    assert {name: state[name] for name in EXPECTED["state"]} == EXPECTED["state"], "what is new has defaults"


def test_its_release_decides_as_it_did(store, tmp_path):
    manifest = deployment.deploy(store, tmp_path / "home", 2, triton=None)
    installed = tmp_path / "home" / "triton" / "select_arm" / "2"
    assert b"from serving.triton" in (OLDER / "store" / "releases" / "000002" / "model.py").read_bytes()
    assert (installed / "model.py").read_bytes() == MODEL.read_bytes(), "what runs is this version's own entry point"
    loaded = bundle.load(installed)
    batch = loaded.encoder.encode([{"age": 30.0}], [ARMS], [()], loaded.catalogue)
    for role, pmf in EXPECTED["pmf"].items():
        assert loaded.pmf(role, batch)[0].tolist() == pytest.approx(pmf, abs=1e-12)
    assert manifest["digest"] == EXPECTED["releases"][1]["digest"]


def test_a_foreign_entry_point_is_refused_as_ever(store, tmp_path):
    """Only a former model.py of this package gives way; whatever else stands there is no release of ours."""
    deployment.deploy(store, tmp_path / "home", 2, triton=None)
    installed = tmp_path / "home" / "triton" / "select_arm" / "2"
    (installed / "model.py").write_bytes(MODEL.read_bytes() + b"\nprint('hello')\n")
    with pytest.raises(ReleaseRefused, match=r"model\.py"):
        bundle.load(installed)


@pytest.mark.slow
def test_its_release_is_served(store, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    with EndedAtOnce(home, ports=Ports.free()) as triton:
        publish.serve(store, home, 2, triton=triton.grpc)
        with Client(triton.grpc, deadline_ms=10_000) as client:
            chosen = client.select(unit_id="u1", context={"age": 30.0}, arms=list(ARMS))
    assert (chosen.release, chosen.role in ("champion", "candidate"), chosen.arm in ARMS) == (2, True, True)


@pytest.mark.slow
def test_a_version_that_was_installed_before_the_upgrade_is_served(store, tmp_path):
    """The repository on disk still has the former model.py when this version's server starts over it."""
    home = tmp_path / "home"
    deployment.deploy(store, home, 2, triton=None)
    model = home / "triton" / "select_arm" / "2" / "model.py"
    shutil.copy(OLDER / "store" / "releases" / "000002" / "model.py", model)
    with EndedAtOnce(home, ports=Ports.free()) as triton, Client(triton.grpc, deadline_ms=10_000) as client:
        chosen = client.select(unit_id="u1", context={"age": 30.0}, arms=list(ARMS))
    assert chosen.release == 2
