"""A foreign release that agrees with itself is refused on every host, before a byte of it is run."""

import re
import subprocess
from pathlib import Path

import orjson
import pytest

from croupier.features.encoding.encoder import Encoder
from croupier.features.schema import Arm
from croupier.features.spec import AppSpec
from croupier.features.store import layout
from croupier.features.store.storage import open_store
from croupier.models.baselines import FixedArm, Uniform
from croupier.serving.operate import deployment, publish
from croupier.serving.release import bundle, bundle_store, provenance
from croupier.serving.release.bundle import ReleaseRefused
from croupier.serving.triton import repository

SPEC = AppSpec.model_validate({"context": {"age": {"type": "numeric"}}, "arm": {"price": {"type": "numeric"}}})
ARMS = [Arm(arm_id=f"a{i}", features={"price": float(i)}) for i in range(3)]
ROOT = Path(__file__).resolve().parents[3]


def build(champion):
    def written(folder, number):
        bundle.write_release(
            folder,
            number=number,
            champion=champion,
            candidate=None,
            floor=0.1,
            meta={},
            encoder=Encoder.empty(SPEC, ARMS),
            arms=ARMS,
        )

    return written


@pytest.fixture
def store(tmp_path):
    made = open_store(str(tmp_path / "store"))
    publish.publish(made, tmp_path / "publisher", build(Uniform()), triton=None)
    return made


def put(store, folder):
    """Somebody with the store's credentials writes over a release."""
    number = bundle.verify(folder)["number"]
    for path in folder.rglob("*"):
        if path.is_file():
            store.put(f"releases/{number:06d}/{path.relative_to(folder).as_posix()}", path.read_bytes())


def with_model(folder, code, file="model.py"):
    """A folder whose manifest is right for another model.py, or a further file: it passes verify()."""
    (folder / file).write_bytes(code)
    manifest = bundle.read_manifest(folder)
    body = {k: v for k, v in manifest.items() if k != "digest"}
    body["files"][file] = bundle.fingerprint(code)
    (folder / "manifest.json").write_bytes(bundle._dump(bundle._sealed(body)))
    return bundle.verify(folder)


def test_another_folder_under_the_current_number_is_refused_by_the_pointers_digest(store, tmp_path):
    build(FixedArm(arm="a2"))(tmp_path / "1", 1)
    put(store, tmp_path / "1")
    for host in ("second", "third"):
        with pytest.raises(ReleaseRefused, match=r"manifest\.json: found digest .*which releases/current names"):
            deployment.follow(store, tmp_path / host, triton=None)
        assert repository.versions(tmp_path / host / "triton", "select_arm") == []


@pytest.mark.parametrize("honest_pointer", [True, False])
def test_foreign_code_is_refused_whatever_the_pointer_says(store, tmp_path, honest_pointer):
    build(Uniform())(tmp_path / "2", 2)
    manifest = with_model(tmp_path / "2", b"raise SystemExit('foreign code')\n")
    put(store, tmp_path / "2")
    if not honest_pointer:
        store.put(layout.CURRENT, orjson.dumps({"number": 2, "digest": manifest["digest"]}))
    with pytest.raises(ReleaseRefused, match=r"model\.py: found foreign code"):
        deployment.deploy(store, tmp_path / "host", 2, triton=None)
    assert repository.versions(tmp_path / "host" / "triton", "select_arm") == []


@pytest.mark.parametrize(
    "file", ["opt_einsum.py", "champion/evil.so", "encoder/model.pyc", "usercustomize", "a.json.pth"]
)
def test_a_file_that_may_be_code_is_refused_beside_the_packages_own_model(store, tmp_path, file):
    """Triton's stub adds the folder to its import path: what torch or numpy try to import would be found there."""
    build(Uniform())(tmp_path / "2", 2)
    manifest = with_model(tmp_path / "2", b"raise SystemExit('foreign code')\n", file)
    put(store, tmp_path / "2")
    store.put(layout.CURRENT, orjson.dumps({"number": 2, "digest": manifest["digest"]}))
    with pytest.raises(ReleaseRefused, match=rf"{re.escape(file)}: found a file that may be code, expected data alone"):
        deployment.deploy(store, tmp_path / "host", 2, triton=None)
    assert repository.versions(tmp_path / "host" / "triton", "select_arm") == []


def test_what_was_published_is_taken_and_an_earlier_release_too(store, tmp_path):
    publish.publish(store, tmp_path / "publisher", build(FixedArm(arm="a1")), triton=None)
    assert deployment.follow(store, tmp_path / "second", triton=None) == 2
    assert bundle_store.download(store, 1, tmp_path / "old" / "1")["number"] == 1
    bundle_store.download(store, 2, tmp_path / "old" / "2")


@pytest.mark.parametrize("digest", sorted(provenance.FORMER_MODELS))
def test_releases_of_earlier_versions_are_taken(store, tmp_path, digest):
    """Their model.py was another one."""
    build(Uniform())(tmp_path / "1", 1)
    manifest = bundle.read_manifest(tmp_path / "1")
    manifest["files"]["model.py"]["sha256"] = digest
    provenance.check(open_store(str(tmp_path / "empty")), tmp_path / "1", manifest)


def test_the_former_models_are_those_of_the_history():
    path = "serving/triton/select_arm/model.py"
    log = subprocess.run(
        ["git", "log", "--format=%H", "--", path], cwd=ROOT, capture_output=True, text=True, check=True
    )
    sums = set()
    for commit in log.stdout.split():
        text = subprocess.run(["git", "show", f"{commit}:{path}"], cwd=ROOT, capture_output=True, check=True).stdout
        sums.add(bundle.fingerprint(text)["sha256"])
    assert sums >= {bundle.fingerprint((ROOT / path).read_bytes())["sha256"]}
    if len(log.stdout.split()) > 1:  # a shallow clone knows the last one only
        assert sums - {bundle.fingerprint((ROOT / path).read_bytes())["sha256"]} <= provenance.FORMER_MODELS
