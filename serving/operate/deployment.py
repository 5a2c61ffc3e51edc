"""A release on this host: fetched, tried, installed, loaded. A bad one is refused and named, and the old one goes on
serving."""

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tritonclient.utils import InferenceServerException

from croupier.features.store import layout
from croupier.features.store.locks import alone
from croupier.features.store.storage import Store
from croupier.features.workspace import Workspace
from croupier.serving.decide import price_reader
from croupier.serving.operate import trial
from croupier.serving.release import bundle, bundle_store, rollout_store
from croupier.serving.release.bundle import LoadedRelease
from croupier.serving.triton import repository, server
from croupier.serving.triton.binary import TritonUnavailable

KEPT_VERSIONS = 2  # in Triton's repository: the one that serves, and the one before it


def deploy(store: Store, home: Path, number: int, *, triton: str | None) -> dict[str, Any]:
    """Fetch, verify, try, install and load release `number` here, one at a time, since the trial model and the
    repository are everybody's. On failure what served before still serves. Returns the manifest."""
    home.mkdir(parents=True, exist_ok=True)
    with alone(home / layout.DEPLOY_LOCK):
        return _deploy(store, home, number, triton=triton)


def _deploy(store: Store, home: Path, number: int, *, triton: str | None) -> dict[str, Any]:
    with scratch(home) as draft:
        folder = draft / str(number)
        manifest = bundle_store.download(store, number, folder, app=home.name)
        if triton is not None:
            trial.run(folder, home / layout.REPOSITORY, triton, bundle.load(folder))
        target = install(folder, home)
    if triton is not None:
        try:
            trial.load_model(triton, trial.MODEL, home)
            trial.wait_for_release(triton, number)
        except Exception as error:
            trial.remove(target)
            if isinstance(error, InferenceServerException):
                raise TritonUnavailable(f"{triton}: release {number} was not loaded: {error}") from error
            raise
    retire(home)
    return manifest


def news(store: Store, home: Path) -> int | None:
    """The number of the current release where it is not in Triton's repository here, else None."""
    number = bundle_store.current(store)
    return None if number is None or number in repository.versions(home / layout.REPOSITORY, trial.MODEL) else number


def follow(store: Store, home: Path, *, triton: str | None) -> int | None:
    """Bring another host to the current release and stage. Returns the number it deployed, None if it had it."""
    number = news(store, home)
    if number is not None:
        deploy(store, home, number, triton=triton)
    rollout_store.sync(store, home)
    price_reader.mirror(store, home)
    return number


def install(folder: Path, home: Path) -> Path:
    """Put a verified folder into Triton's repository as a version of `select_arm`, by one rename."""
    return trial.install(folder, home / layout.REPOSITORY, trial.MODEL)


def retire(home: Path) -> list[int]:
    """Remove all but the newest versions from Triton's repository, and what killed publishers left behind."""
    model = home / layout.SERVED
    old = repository.versions(home / layout.REPOSITORY, trial.MODEL)[:-KEPT_VERSIONS]
    for number in old:
        trial.remove(model / str(number))
    for left in [*model.glob(".*"), *(home / layout.PUBLISHING).glob("*")]:
        if left.is_dir() and not _alive(left.name):
            shutil.rmtree(left, ignore_errors=True)
    return old


def withdraw(home: Path, number: int, *, triton: str | None) -> None:
    """Take a release that was deployed, and is not to serve, out of Triton again."""
    trial.remove(layout.served(home, number))
    if triton is not None:
        trial.load_model(triton, trial.MODEL, home)


def _alive(name: str) -> bool:
    """True if the process whose id ends this name still runs."""
    return Path(f"/proc/{name.rpartition('-')[2]}").exists()


def verify(store: Store, home: Path, number: int) -> dict[str, Any]:
    """The manifest of a release in the store, after checking every byte of it. Raises KeyError, ReleaseRefused."""
    with scratch(home) as draft:
        return bundle_store.download(store, number, draft / str(number), app=home.name)


def fetched(store: Store, home: Path, number: int, scratch: Path) -> LoadedRelease:
    """The release, from Triton's repository where it is there and whole, else from the store."""
    installed = layout.served(home, number)
    try:
        return bundle.load(installed)
    except (bundle.ReleaseRefused, OSError):
        bundle_store.download(store, number, scratch / str(number), app=home.name)
        return bundle.load(scratch / str(number))


def triton_address(w: Workspace) -> str | None:
    """The server over this app's home here; else a configured one; else None: the release waits for its start."""
    record = server.running(w.home)
    if record is not None:
        return f"127.0.0.1:{dict(record['ports'])['grpc']}"
    return w.settings.triton if "triton" in w.settings.model_fields_set else None


@contextmanager
def scratch(home: Path) -> Iterator[Path]:
    """A folder of our own on the same file system as Triton's repository, so that a rename suffices."""
    folder = home / layout.PUBLISHING / f"{uuid.uuid4().hex[:8]}-{os.getpid()}"
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
