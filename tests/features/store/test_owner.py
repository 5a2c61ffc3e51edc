"""A store has one app: another one's name is refused before it reads or writes anything there."""

import orjson
import pytest

from croupier.features.store import layout, owner
from croupier.features.store.owner import ForeignStore
from croupier.features.store.storage import open_store
from croupier.features.workspace import Workspace


@pytest.fixture
def apps(tmp_path, monkeypatch):
    """Two apps that were given one store by mistake."""
    monkeypatch.setenv("CROUPIER_VAR", str(tmp_path))
    monkeypatch.setenv("CROUPIER_STORE", str(tmp_path / "one-store"))
    for name in ("alpha", "beta"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "app.toml").write_text("")
    return tmp_path


def test_the_second_app_is_refused_and_nothing_of_the_first_changes(apps):
    """Alpha's rewards became 0, and beta's release became alpha's current one."""
    alpha = Workspace.open("alpha").store
    alpha.put("releases/current", b"alpha's")
    with pytest.raises(ForeignStore, match=r"found the app 'alpha' there, expected 'beta'.*CROUPIER_STORE"):
        _ = Workspace.open("beta").store
    assert Workspace.open("alpha").store.get("releases/current") == b"alpha's"
    assert orjson.loads(alpha.get(layout.OWNER))["app"] == "alpha"


def test_a_mistyped_name_claims_nothing(apps):
    assert Workspace.known("typo").store.list("") == []
    assert Workspace.open("alpha").store.list("") == [layout.OWNER]
    with pytest.raises(ForeignStore):
        _ = Workspace.known("typo").store


def test_a_store_of_an_earlier_version_becomes_its_apps(apps):
    open_store(str(apps / "one-store")).put("releases/000001/claim", b"")
    assert Workspace.open("beta").store.list("releases/") == ["releases/000001/claim"]
    with pytest.raises(ForeignStore):
        _ = Workspace.open("alpha").store


@pytest.mark.parametrize("raw", [b"", b"[]", b"{}", b'{"app": "alpha"}', b"\xff"])
def test_a_marker_that_cannot_be_read_is_no_permission(apps, raw):
    open_store(str(apps / "one-store")).put(layout.OWNER, raw)
    with pytest.raises(ForeignStore, match=r"expected app and unit_key"):
        _ = Workspace.open("alpha").store


def test_of_two_that_claim_at_once_one_gets_it(tmp_path):
    class Slow:
        """Another host claims between our look and our claim."""

        def __init__(self, inner):
            self.inner, self.url = inner, inner.url

        def read(self, key):
            found = self.inner.read(key)
            if found[1] is None:
                owner.check(self.inner, app="faster", key="k", claim=True)
            return found

        def create(self, key, data):
            self.inner.create(key, data)

    with pytest.raises(ForeignStore, match=r"found the app 'faster'"):
        owner.check(Slow(open_store(str(tmp_path))), app="slower", key="k", claim=True)


def test_the_key_is_added_once_it_is_known(tmp_path):
    store = open_store(str(tmp_path))
    owner.check(store, app="a", key=None, claim=True)
    owner.check(store, app="a", key="k1", claim=True)
    owner.check(store, app="a", key=None, claim=True)
    assert orjson.loads(store.get(layout.OWNER)) == {"app": "a", "unit_key": "k1"}
    with pytest.raises(ForeignStore, match=r"found a unit key of fingerprint k2, expected k1"):
        owner.check(store, app="a", key="k2", claim=False)
