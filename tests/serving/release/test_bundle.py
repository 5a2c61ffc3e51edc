"""A release is what its manifest says, to the byte, or it is refused before anything parses it."""

import json
import shutil

import numpy as np
import pytest

from croupier.features.encoding.encoder import Encoder
from croupier.features.schema import Arm
from croupier.features.spec import AppSpec
from croupier.models.baselines import FixedArm, Uniform
from croupier.serving.release import bundle
from croupier.serving.release.bundle import ReleaseRefused

SPEC = AppSpec.model_validate({"context": {"age": {"type": "numeric"}}, "arm": {"price": {"type": "numeric"}}})
ARMS = [Arm(arm_id=f"a{i}", features={"price": float(i)}) for i in range(4)]
GOLDEN = [{"context": {"age": float(i)}, "arms": ["a0", "a1", "a2"][: 1 + i % 3]} for i in range(5)]


def write(folder, number, **kwargs):
    return bundle.write_release(
        folder,
        **{
            "number": number,
            "champion": Uniform(),
            "candidate": FixedArm(arm="a1"),
            "salt": f"release-{number}",
            "encoder": Encoder.empty(SPEC, ARMS),
            "arms": ARMS,
            "floor": 0.1,
            "golden": GOLDEN,
            "meta": {"seed": 3},
        }
        | kwargs,
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("releases") / "7"
    write(folder, 7)
    return folder


@pytest.fixture
def copy(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "7")


def test_written_is_loaded(whole):
    loaded = bundle.load(whole)
    assert (loaded.number, loaded.floor, loaded.salt) == (7, 0.1, "release-7")
    assert (loaded.champion.name, loaded.candidate.name, loaded.arms) == ("uniform", "fixed_arm", tuple(ARMS))
    assert loaded.manifest["meta"] == {"seed": 3}
    assert loaded.manifest["encoder"] == loaded.encoder.digest == Encoder.empty(SPEC, ARMS).digest
    assert loaded.manifest["catalogue"] == loaded.catalogue.digest


def test_golden_decisions_are_the_policies_own_with_the_floor(whole):
    golden = bundle.load(whole).golden
    assert [g.role for g in golden] == ["champion"] * 5 + ["candidate"] * 5
    assert [len(g.arms) for g in golden] == [1, 2, 3, 1, 2] * 2
    np.testing.assert_allclose(golden[2].pmf, [1 / 3] * 3, atol=1e-12)
    np.testing.assert_allclose(golden[7].pmf, [0.1 / 3, 0.9 + 0.1 / 3, 0.1 / 3], atol=1e-12)


def test_without_candidate_there_is_none(tmp_path):
    write(tmp_path / "1", 1, candidate=None)
    loaded = bundle.load(tmp_path / "1")
    assert loaded.candidate is None
    assert not (tmp_path / "1" / "candidate").exists()


def test_the_same_inputs_give_the_same_bytes(whole, tmp_path):
    write(tmp_path / "7", 7)
    assert bundle.read_manifest(tmp_path / "7") == bundle.read_manifest(whole)


def test_a_release_is_written_once_and_a_failed_one_not_at_all(whole, tmp_path):
    with pytest.raises(FileExistsError, match="written once"):
        write(whole, 7)

    class Broken(Uniform):
        def save(self, folder):
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write(tmp_path / "8", 8, candidate=Broken())
    assert list(tmp_path.iterdir()) == []


def files_of(folder):
    return sorted(p for p in folder.rglob("*") if p.is_file())


def refused(folder):
    try:
        bundle.load(folder)
    except ReleaseRefused as error:
        return error
    return None


@pytest.mark.parametrize("step", [37, pytest.param(1, marks=pytest.mark.full)])
def test_every_flipped_byte_is_refused_and_its_file_named(copy, step):
    for path in files_of(copy):
        original = path.read_bytes()
        for at in range(0, len(original), step):
            path.write_bytes(original[:at] + bytes([original[at] ^ 0x01]) + original[at + 1 :])
            assert refused(copy).file == path.relative_to(copy).as_posix(), (path, at)
        path.write_bytes(original)
    assert refused(copy) is None


@pytest.mark.parametrize("step", [97, pytest.param(4, marks=pytest.mark.full)])
def test_every_truncation_is_refused_and_its_file_named(copy, step):
    for path in files_of(copy):
        original = path.read_bytes()
        for length in range(0, len(original), step):
            path.write_bytes(original[:length])
            assert refused(copy).file == path.relative_to(copy).as_posix(), (path, length)
        path.write_bytes(original)
    assert refused(copy) is None


def test_swapped_missing_and_additional_files_are_refused(copy):
    champion, candidate = copy / "champion" / "policy.json", copy / "candidate" / "policy.json"
    a, b = champion.read_bytes(), candidate.read_bytes()
    champion.write_bytes(b)
    candidate.write_bytes(a)
    assert "sha256" in str(refused(copy))
    champion.write_bytes(a)
    candidate.unlink()
    assert "candidate/policy.json: found no such file" in str(refused(copy))
    candidate.write_bytes(b)
    (copy / "champion" / "extra.py").write_text("print('hello')")
    assert "champion/extra.py: found an additional file" in str(refused(copy))
    (copy / "champion" / "extra.py").unlink()
    (copy / "__pycache__").mkdir()
    (copy / "__pycache__" / "model.cpython-311.pyc").write_bytes(b"by the stub")
    assert refused(copy) is None


@pytest.mark.parametrize("file", ["golden.json", "champion/policy.json", "numpy", "champion"])
def test_links_are_refused_whatever_they_lead_to(copy, tmp_path, file):
    """To the very bytes, to a folder of modules, or to the folder itself: what they lead to is somebody else's."""
    target = tmp_path / "elsewhere"
    if (copy / file).exists():
        (copy / file).rename(target)
    else:
        target.mkdir()
    (copy / file).symlink_to(target)
    with pytest.raises(ReleaseRefused) as refused:
        bundle.verify(copy)
    assert refused.value.file == file


def test_a_stale_a_foreign_and_a_rewritten_manifest_are_refused(copy, tmp_path):
    write(tmp_path / "other" / "7", 7, champion=FixedArm(arm="a2"))
    own = (copy / "manifest.json").read_bytes()
    (copy / "manifest.json").write_bytes((tmp_path / "other" / "7" / "manifest.json").read_bytes())
    assert refused(copy).file in ("champion/policy.json", "golden.json")
    manifest = json.loads(own)
    manifest["floor"] = 0.0
    (copy / "manifest.json").write_bytes(bundle._dump(manifest))
    assert "digest" in str(refused(copy))
    (copy / "manifest.json").write_bytes(own)
    copy.rename(tmp_path / "8")
    assert "found release 7, expected release 8" in str(refused(tmp_path / "8"))


def test_nothing_is_parsed_before_it_is_verified(copy, monkeypatch):
    (copy / "champion" / "policy.json").write_text('{"policy": "uniform", "more": 1}')
    monkeypatch.setattr(bundle.policies, "load", lambda folder: pytest.fail("parsed"))
    monkeypatch.setattr(bundle.Encoder, "load", lambda folder: pytest.fail("parsed"))
    assert refused(copy).file == "champion/policy.json"
