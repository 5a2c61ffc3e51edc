"""What the store has acknowledged survives power loss: file, name, and every new folder above it are synced."""

import os

import pytest

from croupier.features.store.storage import FolderStore
from tests.synced import Watched


@pytest.mark.parametrize("verb", ["put", "create", "swap"])
def test_a_file_is_synced_before_it_has_its_name_and_the_name_before_the_answer(tmp_path, monkeypatch, verb):
    store = FolderStore(str(tmp_path / "store"))
    watched = Watched(monkeypatch)
    arguments = ("a/b/c.json", b"content") + ((None,) if verb == "swap" else ())
    getattr(store, verb)(*arguments)
    target = store.root / "a" / "b" / "c.json"
    (draft,) = watched.synced_before(target) - {store.root, store.root / "a", store.root / "a" / "b"}
    assert draft.name.startswith(".tmp-")
    assert draft.parent == target.parent
    assert watched.synced_after(target)
    for folder in (store.root / "a", store.root / "a" / "b"):
        assert watched.synced_after(folder), f"the name of {folder} is lost with the power"


def test_a_second_write_beside_it_syncs_file_and_folder_again(tmp_path, monkeypatch):
    store = FolderStore(str(tmp_path))
    store.put("a/x", b"1")
    watched = Watched(monkeypatch)
    store.put("a/x", b"2")
    assert [kind for kind, _ in watched.events] == ["sync", "name", "sync"]
    assert watched.synced_after(store.root / "a" / "x")


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
@pytest.mark.parametrize("verb", ["put", "create", "swap"])
def test_an_object_of_a_folder_is_its_owners_alone_whatever_the_umask(tmp_path, verb, umask):
    store, before = FolderStore(str(tmp_path)), os.umask(umask)
    try:
        getattr(store, verb)("a/b.json", b"1", *((None,) if verb == "swap" else ()))
    finally:
        os.umask(before)
    assert (tmp_path / "a" / "b.json").stat().st_mode & 0o777 == 0o600
