"""The unit key: no default, one per app, and another one is noticed by the log and by the store."""

import logging
import subprocess

import pytest

from croupier.features.ids import hash_unit
from croupier.features.log.spool import Spool
from croupier.features.settings import Settings
from croupier.features.store import key_file, unit_key
from croupier.features.workspace import Workspace


@pytest.fixture
def w(tmp_path, monkeypatch):
    monkeypatch.setenv("CROUPIER_VAR", str(tmp_path))
    monkeypatch.delenv("CROUPIER_UNIT_KEY", raising=False)
    return app("shop")


def app(name):
    w = Workspace.open(name)
    w.home.mkdir()
    (w.home / "app.toml").write_text("")
    return w


def test_it_is_made_at_first_use_for_its_owner_alone_and_differs_between_apps(w):
    w.spool().close()
    assert (w.home / "unit.key").stat().st_mode & 0o777 == 0o600
    assert w.unit_key == (w.home / "unit.key").read_text() == Workspace.open("shop").unit_key
    other = app("other").unit_key
    assert len({w.unit_key, other, "development-only", ""}) == 4
    assert hash_unit(w.unit_key, "ann") != hash_unit(other, "ann")


def test_git_takes_up_what_people_declared_and_neither_keys_nor_logs(w):
    """Whoever keeps `var` in a repository adds all of it; a .gitignore of their own is left as it is."""
    (w.home / "catalogue.json").write_text("[]")
    w.spool().close()
    key_file.read_or_make(w.home / "triton.secret")
    own = app("own")
    (own.home / ".gitignore").write_text("nothing\n")
    own.spool().close()
    subprocess.run(["git", "init", "--quiet", w.home], check=True)
    run = ["git", "-C", w.home, "status", "--porcelain", "--untracked-files=all"]
    found = subprocess.run(run, capture_output=True, text=True, check=True).stdout.split()
    assert found == ["??", ".gitignore", "??", "app.toml", "??", "catalogue.json"]
    assert (own.home / ".gitignore").read_text() == "nothing\n"


def test_another_key_is_refused_by_the_log(w, monkeypatch):
    first = w.unit_key
    monkeypatch.setenv("CROUPIER_UNIT_KEY", "another key that somebody set")
    with pytest.raises(ValueError, match=rf"expected {unit_key.fingerprint(first)}, which .*spool is written with"):
        Workspace.open("shop").spool()
    monkeypatch.setenv("CROUPIER_UNIT_KEY", first)
    Workspace.open("shop").spool().close()
    monkeypatch.delenv("CROUPIER_UNIT_KEY")
    (w.home / "unit.key").unlink()
    with pytest.raises(ValueError, match=r"found no .*unit\.key, expected the key of fingerprint"):
        Workspace.open("shop").spool()
    assert not (w.home / "unit.key").exists(), "a new one would make every unit another one"


def test_a_log_of_an_earlier_version_goes_on_with_its_key(w, caplog):
    Spool(w.home / "spool" / "log.db").close()
    with caplog.at_level(logging.WARNING):
        assert w.unit_key == "development-only"
    assert "former, public key" in caplog.text
    assert Workspace.open("shop").unit_key == "development-only"


def test_a_store_written_with_another_key_is_noticed(w, tmp_path, monkeypatch):
    """A second host whose key file was not copied."""
    monkeypatch.setenv("CROUPIER_STORE", str(tmp_path / "shared"))
    first = Workspace.open("shop")
    first.spool().close()
    first.store.put("x/y", b"1")
    monkeypatch.setenv("CROUPIER_VAR", str(tmp_path / "second"))
    (tmp_path / "second").mkdir()
    second = app("shop")
    assert second.store.get("x/y") == b"1", "who only looks needs no key"
    second.spool().close()
    with pytest.raises(ValueError, match=rf"expected {unit_key.fingerprint(first.unit_key)}: copy unit\.key"):
        _ = Workspace.open("shop").store


def test_who_only_looks_makes_no_key(w):
    assert unit_key.known(Settings(app="shop"), w.home) is None
    assert w.store.list("features/") == []
    assert not (w.home / "unit.key").exists()
