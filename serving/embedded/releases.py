"""Releases as the processes of a host have them that embed the selector: fetched once, verified, each in its folder.

<home>/embedded/<number>/     appears by one rename, whole; two processes that want it fetch it once
"""

import shutil
from contextlib import suppress
from pathlib import Path

from croupier.features.store import layout
from croupier.features.store.locks import alone
from croupier.features.store.storage import Store
from croupier.serving.release import bundle, bundle_store, signature
from croupier.serving.release.bundle import LoadedRelease
from croupier.serving.release.signature import Keys

KEPT = 3  # folders: processes that have not looked for a second still load the one before


def newest(home: Path) -> int | None:
    """The newest release that this host has, for the time in which its store is out of reach."""
    return max(_numbers(home), default=None)


def loaded(store: Store, home: Path, number: int, *, keys: Keys) -> LoadedRelease:
    """The release, fetched if it is not here. Raises ReleaseRefused where a byte or the signature is not as published,
    KeyError where there is none."""
    folder = layout.embedded(home, number)
    if not folder.exists():
        _fetch(store, home, number, keys)
    signature.check(folder, app=home.name, keys=keys)
    return bundle.load(folder)


def _fetch(store: Store, home: Path, number: int, keys: Keys) -> None:
    folder = layout.embedded(home, number)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with alone(home / layout.EMBEDDED_LOCK):
        if folder.exists():
            return
        draft = folder.with_name(f".{number}")  # of a process that was killed, or ours: the lock is held
        shutil.rmtree(draft, ignore_errors=True)
        bundle_store.download(store, number, draft, app=home.name, keys=keys)
        draft.rename(folder)
        for old in sorted(_numbers(home))[:-KEPT]:
            shutil.rmtree(layout.embedded(home, old), ignore_errors=True)


def _numbers(home: Path) -> list[int]:
    with suppress(FileNotFoundError):
        return [int(each.name) for each in (home / layout.EMBEDDED).iterdir() if each.name.isdigit()]
    return []
