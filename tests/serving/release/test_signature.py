"""Signed releases: what nobody's key signed for this very app is refused on every host, before a byte of it is used."""

import base64
import json

import orjson
import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from typer.testing import CliRunner

from croupier.features.store import layout
from croupier.features.store.storage import open_store
from croupier.models.baselines import FixedArm, Uniform
from croupier.serving.cli import app
from croupier.serving.operate import deployment, publish, succession
from croupier.serving.release import bundle, bundle_store, signature
from croupier.serving.release.bundle import ReleaseRefused
from croupier.serving.release.signature import Keys
from croupier.serving.triton import arms, repository
from tests.serving.release.test_provenance import build, put, with_model


@pytest.fixture
def keys(tmp_path, monkeypatch):
    """Ours in the settings; `foreign` beside them."""
    for whose in ("ours", "foreign"):
        signature.make(tmp_path / whose / "release.key", tmp_path / whose / "release.pub")
    monkeypatch.setenv("CROUPIER_SIGNING_KEY", str(tmp_path / "ours" / "release.key"))
    monkeypatch.setenv("CROUPIER_VERIFY_KEY", str(tmp_path / "ours" / "release.pub"))
    return tmp_path


@pytest.fixture
def store(keys):
    made = open_store(str(keys / "store"))
    publish.publish(made, keys / "publisher" / "shop", build(Uniform()), triton=None)
    return made


def foreign(store, folder, champion, *, app_name="shop", keys=None, pointer=True):
    """Whoever may write into the store puts a release there that agrees with itself, pointer included."""
    number = (bundle_store.current(store) or 0) + 1
    target = folder / str(number)
    build(champion)(target, number)
    if keys is not None:
        signature.sign(target, app=app_name, keys=keys)
    put(store, target)
    if pointer:
        manifest = bundle.read_manifest(target)
        store.put(layout.CURRENT, orjson.dumps({"number": number, "digest": manifest["digest"]}))
    return number


def refused_everywhere(store, root, said):
    for host in ("second", "third"):
        home = root / host / "shop"
        with pytest.raises(ReleaseRefused, match=said):
            deployment.follow(store, home, triton=None)
        assert repository.versions(home / "triton", "select_arm") == []


def test_what_was_published_is_signed_and_taken(store, keys):
    assert "releases/000001/manifest.sig" in store.list("releases/")
    assert deployment.follow(store, keys / "second" / "shop", triton=None) == 1
    assert (keys / "second" / "shop" / "triton" / "select_arm" / "1" / "manifest.sig").exists()


def test_an_unsigned_release_is_refused(store, keys):
    foreign(store, keys / "draft", FixedArm(arm="a2"))
    refused_everywhere(store, keys, r"manifest\.sig: found no signature, expected one by a key of .*release\.pub")


def test_a_foreign_key_is_refused(store, keys):
    foreign(store, keys / "draft", FixedArm(arm="a2"), keys=Keys(signing=keys / "foreign" / "release.key"))
    refused_everywhere(store, keys, r"manifest\.sig: found one by the key '[0-9a-f]{16}' for the app 'shop'")


def test_another_app_s_release_is_refused_although_our_key_signed_it(store, keys):
    foreign(
        store, keys / "draft", FixedArm(arm="a2"), app_name="news", keys=Keys(signing=keys / "ours" / "release.key")
    )
    refused_everywhere(store, keys, r"for the app 'news', expected .*for the app 'shop'")


def test_a_signature_of_another_release_is_refused(store, keys):
    """The first release's own, under the key's name: it was made of other bytes."""
    number = foreign(store, keys / "draft", FixedArm(arm="a2"))
    store.put(f"releases/{number:06d}/manifest.sig", store.get("releases/000001/manifest.sig"))
    refused_everywhere(store, keys, r"found a signature that the key [0-9a-f]{16} did not make of this manifest")


def test_our_key_under_a_foreign_signature_is_refused(store, keys):
    """The name of our key, and bytes that the foreign one made."""
    number = foreign(store, keys / "draft", FixedArm(arm="a2"), keys=Keys(signing=keys / "foreign" / "release.key"))
    key = f"releases/{number:06d}/manifest.sig"
    ours = json.loads(store.get("releases/000001/manifest.sig"))
    store.put(key, orjson.dumps(json.loads(store.get(key)) | {"key": ours["key"]}))
    refused_everywhere(store, keys, r"did not make of this manifest")


def test_one_changed_byte_of_a_signed_release_is_refused(store, keys):
    raw = store.get("releases/000001/catalogue.json")
    store.put("releases/000001/catalogue.json", raw.replace(b"a1", b"a9"))
    refused_everywhere(store, keys, r"catalogue\.json: found")


def test_foreign_code_is_refused_although_our_key_signed_it(store, keys):
    build(Uniform())(keys / "draft" / "2", 2)
    with_model(keys / "draft" / "2", b"raise SystemExit('foreign code')\n")
    signature.sign(keys / "draft" / "2", app="shop", keys=Keys(signing=keys / "ours" / "release.key"))
    put(store, keys / "draft" / "2")
    store.put(layout.CURRENT, orjson.dumps({"number": 2, "digest": ""}))
    refused_everywhere(store, keys, r"model\.py: found foreign code")


@pytest.mark.parametrize("raw", [b"", b"[]", b"{}", b'{"key": "x", "app": "shop", "signature": "!"}', b"\xff"])
def test_what_is_no_signature_is_refused(store, keys, raw):
    store.put("releases/000001/manifest.sig", raw)
    refused_everywhere(store, keys, r"manifest\.sig: found (a file that is no signature|one by the key)")


def test_what_no_host_would_serve_is_not_published(store, keys, monkeypatch):
    """A publisher that verifies but has no key to sign with: refused before a byte of it is in the store."""
    monkeypatch.delenv("CROUPIER_SIGNING_KEY")
    with pytest.raises(ReleaseRefused, match="found no signature"):
        publish.publish(store, keys / "publisher" / "shop", build(FixedArm(arm="a1")), triton=None)
    assert bundle_store.current(store) == 1
    assert [key for key in store.list("releases/000002/") if not key.endswith("/claim")] == []


def test_a_host_does_not_even_load_what_it_has_unsigned(keys, monkeypatch):
    """A release that was installed before there was a key, or by somebody at the host's own folder."""
    home = keys / "host" / "shop"
    folder = home / "triton" / "select_arm" / "1"
    build(Uniform())(folder, 1)
    args = {"model_repository": str(folder.parent), "model_name": "select_arm", "model_version": "1"}
    with pytest.raises(ReleaseRefused, match="found no signature"):
        arms.SelectArm(args)
    signature.sign(folder, app="shop", keys=Keys(signing=keys / "ours" / "release.key"))
    arms.SelectArm(args).close()


def test_a_roll_back_is_signed_anew(store, keys):
    home = keys / "publisher" / "shop"
    publish.publish(store, home, build(FixedArm(arm="a1")), triton=None)
    assert succession.roll_back(store, home, 1, triton=None).number == 3
    assert deployment.follow(store, keys / "second" / "shop", triton=None) == 3


def test_keys_are_rotated_without_a_gap(store, keys, monkeypatch):
    """Both public keys in the one file: releases of the former key and of the next are taken."""
    both = keys / "both.pub"
    both.write_bytes((keys / "foreign" / "release.pub").read_bytes() + (keys / "ours" / "release.pub").read_bytes())
    monkeypatch.setenv("CROUPIER_VERIFY_KEY", str(both))
    assert deployment.follow(store, keys / "second" / "shop", triton=None) == 1
    monkeypatch.setenv("CROUPIER_SIGNING_KEY", str(keys / "foreign" / "release.key"))
    publish.publish(store, keys / "publisher" / "shop", build(FixedArm(arm="a1")), triton=None)
    assert deployment.follow(store, keys / "second" / "shop", triton=None) == 2


def test_without_keys_nothing_is_signed_and_all_is_as_before(tmp_path):
    store = open_store(str(tmp_path / "store"))
    publish.publish(store, tmp_path / "shop", build(Uniform()), triton=None)
    assert [key for key in store.list("releases/") if key.endswith(".sig")] == []
    assert deployment.follow(store, tmp_path / "second", triton=None) == 1


@pytest.mark.parametrize(
    ("setting", "content", "said"),
    [
        ("CROUPIER_VERIFY_KEY", b"", "no public key in it"),
        ("CROUPIER_VERIFY_KEY", None, "No such file"),
        ("CROUPIER_SIGNING_KEY", b"no key", "expected PEM of Ed25519"),
        ("CROUPIER_SIGNING_KEY", "open", "mode 0644, a private key is 0600"),
    ],
)
def test_a_file_that_is_no_key_is_said_by_name(keys, monkeypatch, setting, content, said):
    file = keys / "wrong"
    if content == "open":
        file.write_bytes((keys / "ours" / "release.key").read_bytes())
    elif content is not None:
        file.write_bytes(content)
    if file.exists():
        file.chmod(0o644 if content == "open" else 0o600)
    monkeypatch.setenv(setting, str(file))
    with pytest.raises(ValueError, match=rf"^{setting}: found .*{said}"):
        publish.publish(open_store(str(keys / "s")), keys / "shop", build(Uniform()), triton=None)


def test_the_signature_is_ed25519_of_purpose_app_and_manifest(store, keys):
    """By the library alone, so that anybody can check it without this package."""
    raw, signed = store.get("releases/000001/manifest.json"), json.loads(store.get("releases/000001/manifest.sig"))
    key = load_pem_private_key((keys / "ours" / "release.key").read_bytes(), None).public_key()
    key.verify(base64.b64decode(signed["signature"]), b"croupier release manifest, version 1\nshop\n" + raw)


def test_the_command_makes_a_pair_once(tmp_path):
    done = CliRunner().invoke(app, ["keys", "make", str(tmp_path / "k"), "--json"])
    made = json.loads(done.stdout)
    assert len(made["key"]) == 16
    assert (tmp_path / "k" / "release.key").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "k" / ".gitignore").read_text().splitlines()[1:] == ["*.key"], "git leaves the private key alone"
    before = (tmp_path / "k" / "release.key").read_bytes()
    again = CliRunner().invoke(app, ["keys", "make", str(tmp_path / "k")])
    assert (again.exit_code, "never written over" in again.stderr) == (1, True)
    assert (tmp_path / "k" / "release.key").read_bytes() == before
