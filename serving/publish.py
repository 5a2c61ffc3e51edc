"""Publish a release: number it, keep it, try it, serve it. Each step is whole or did not happen.

    releases/000007/claim            create-once: the number is taken
    releases/000007/…                every file; manifest.json last, so a release exists iff its manifest does
    releases/000007/refused.json     why it never took traffic, if it did not
    releases/current                 {"number", "digest"}, changed by compare-and-swap

A bad release is refused and named, and the old one goes on serving.
"""

import os
import shutil
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson
from tritonclient.utils import InferenceServerException

from features.locks import alone
from features.storage import AlreadyExists, Conflict, Store
from serving import release, rollout, rollout_state, trial
from serving.release import ReleaseRefused
from serving.triton import repository
from serving.triton.binary import TritonUnavailable

CURRENT = "releases/current"
KEPT_VERSIONS = 2  # in Triton's repository: the one that serves, and the one before it
Build = Callable[[Path, int], object]


@dataclass(frozen=True, kw_only=True)
class Published:
    """`served` is False where no Triton was there to load it: it will at its next start."""

    number: int
    digest: str
    served: bool
    seconds: float


def publish(
    store: Store, home: Path, build: Build, *, triton: str | None, stages: tuple[float, ...] = (0.05, 0.2, 0.5, 1.0),
    shadow: bool = False, by: str = "publish",
) -> Published:  # fmt: skip
    """Build the next release with `build(folder, number)`, and bring it into service at its first stage.

    `triton` is host:port of gRPC (None: install only). Raises ReleaseRefused when the release is not what its
    manifest says or does not answer as it was computed offline; the old one then goes on, and the refusal is kept.
    """
    began = time.monotonic()
    number = claim(store)
    with scratch(home) as draft:
        folder = draft / str(number)
        build(folder, number)
        upload(store, folder)
    done = serve(store, home, number, triton=triton, stages=stages, shadow=shadow, by=by)
    return replace(done, seconds=time.monotonic() - began)


def serve(
    store: Store, home: Path, number: int, *, triton: str | None, stages: tuple[float, ...] = (0.05, 0.2, 0.5, 1.0),
    shadow: bool = False, by: str = "publish",
) -> Published:  # fmt: skip
    """Bring a whole release of the store into service: the second half of `publish`, also for whoever finds one whose
    publisher died. Safe to repeat."""
    began = time.monotonic()
    try:
        manifest = deploy(store, home, number, triton=triton)
    except Exception as error:
        store.put(f"{_prefix(number)}/refused.json", orjson.dumps({"at": now_us(), "error": str(error)}))
        raise
    point(store, number, manifest["digest"])
    rollout.begin(store, first_state(store, number, stages, shadow, now=now_us(), by=by))
    rollout.sync(store, home)
    return Published(
        number=number, digest=manifest["digest"], served=triton is not None, seconds=time.monotonic() - began
    )


def first_state(
    store: Store, number: int, stages: tuple[float, ...], shadow: bool, *, now: int, by: str = "publish"
) -> rollout_state.RolloutState:
    """How the rollout of release `number` begins: at its first stage, in shadow, or with nobody to expose."""
    policies = orjson.loads(store.get(f"{_prefix(number)}/{release.MANIFEST}"))["policies"]
    return rollout_state.start(
        number, now=now, stages=stages, shadow=shadow, has_candidate="candidate" in policies, by=by
    )


# ── in the store ────────────────────────────────────────────────────────────────────────────────────────────────────


def claim(store: Store) -> int:
    """The next number, ours alone: of two publishers one gets it, the other the one after."""
    taken = [int(key.split("/")[1]) for key in store.list("releases/") if key.endswith("/claim")]
    number = max(taken, default=0) + 1
    while True:
        try:
            store.create(f"{_prefix(number)}/claim", orjson.dumps({"at": now_us(), "host": socket.gethostname()}))
        except AlreadyExists:
            number += 1
        else:
            return number


def upload(store: Store, folder: Path) -> dict[str, Any]:
    """Verify, then copy every file, the manifest last. Raises ReleaseRefused before anything is copied."""
    manifest = release.verify(folder)
    prefix = _prefix(manifest["number"])
    for file in manifest["files"]:
        store.put(f"{prefix}/{file}", (folder / file).read_bytes())
    store.create(f"{prefix}/{release.MANIFEST}", (folder / release.MANIFEST).read_bytes())
    return manifest


def download(store: Store, number: int, folder: Path) -> dict[str, Any]:
    """Fetch what the manifest lists into a new `folder`, and verify it. KeyError when there is no such release."""
    prefix = _prefix(number)
    try:
        raw = store.get(f"{prefix}/{release.MANIFEST}")
    except KeyError:
        raise KeyError(f"no release {number} in {store.url}; `croupier release list` shows those there are") from None
    folder.mkdir(parents=True)
    (folder / release.MANIFEST).write_bytes(raw)
    for file in release.read_manifest(folder)["files"]:
        path = folder / file
        if not path.resolve().is_relative_to(folder.resolve()):
            raise ReleaseRefused(folder, file, "a path outside the release", "a path within it")
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            path.write_bytes(store.get(f"{prefix}/{file}"))
        except KeyError:
            raise ReleaseRefused(folder, file, f"nothing in {store.url}", "the file") from None
    return release.verify(folder)


def verify(store: Store, home: Path, number: int) -> dict[str, Any]:
    """The manifest of a release in the store, after checking every byte of it. Raises KeyError, ReleaseRefused."""
    with scratch(home) as draft:
        return download(store, number, draft / str(number))


def listed(store: Store) -> list[dict[str, Any]]:
    """Every whole release, oldest first: number, policies, when, and whether it is current or was refused."""
    keys = set(store.list("releases/"))
    now_serving = current(store)
    numbers = sorted(int(key.split("/")[1]) for key in keys if key.endswith(f"/{release.MANIFEST}"))
    rows = []
    for number in numbers:
        manifest = orjson.loads(store.get(f"{_prefix(number)}/{release.MANIFEST}"))
        refused = f"{_prefix(number)}/refused.json" in keys
        status = "current" if number == now_serving else "refused" if refused else "past"
        rows.append({"number": number, "status": status, "policies": manifest["policies"],
                     "digest": manifest["digest"], "meta": manifest["meta"]})  # fmt: skip
    return rows


def current(store: Store) -> int | None:
    """The number that every host should serve, or None before the first."""
    try:
        return int(orjson.loads(store.get(CURRENT))["number"])
    except KeyError:
        return None


def point(store: Store, number: int, digest: str) -> int:
    """Make `number` current unless a later one is; returns what is current afterwards."""
    body = orjson.dumps({"number": number, "digest": digest})
    while True:
        raw, version = store.read(CURRENT)
        if raw and (there := int(orjson.loads(raw)["number"])) >= number:
            return there
        try:
            store.swap(CURRENT, body, version)
        except Conflict:
            continue
        return number


# ── on this host ────────────────────────────────────────────────────────────────────────────────────────────────────


def deploy(store: Store, home: Path, number: int, *, triton: str | None) -> dict[str, Any]:
    """Fetch, verify, try, install and load release `number` here, one at a time, since the trial model and the
    repository are everybody's. On failure what served before still serves. Returns the manifest."""
    home.mkdir(parents=True, exist_ok=True)
    with alone(home / ".deploy.lock"):
        return _deploy(store, home, number, triton=triton)


def _deploy(store: Store, home: Path, number: int, *, triton: str | None) -> dict[str, Any]:
    with scratch(home) as draft:
        folder = draft / str(number)
        manifest = download(store, number, folder)
        if triton is not None:
            trial.run(folder, home / "triton", triton, release.load(folder))
        target = install(folder, home)
    if triton is not None:
        try:
            trial.load_model(triton, trial.MODEL)
            trial.wait_for_release(triton, number)
        except Exception as error:
            trial.remove(target)
            if isinstance(error, InferenceServerException):
                raise TritonUnavailable(f"{triton}: release {number} was not loaded: {error}") from error
            raise
    retire(home)
    return manifest


def follow(store: Store, home: Path, *, triton: str | None) -> int | None:
    """Bring another host to the current release and stage. Returns the number it deployed, None if it had it."""
    number = current(store)
    installed = repository.versions(home / "triton", trial.MODEL)
    news = number if number is not None and number not in installed else None
    if news is not None:
        deploy(store, home, news, triton=triton)
    rollout.sync(store, home)
    return news


def install(folder: Path, home: Path) -> Path:
    """Put a verified folder into Triton's repository as a version of `select_arm`, by one rename."""
    return trial.install(folder, home / "triton", trial.MODEL)


def retire(home: Path) -> list[int]:
    """Remove all but the newest versions from Triton's repository, and what killed publishers left behind."""
    model = home / "triton" / trial.MODEL
    old = repository.versions(home / "triton", trial.MODEL)[:-KEPT_VERSIONS]
    for number in old:
        trial.remove(model / str(number))
    for left in [*model.glob(".*"), *(home / "publish").glob("*")]:
        if left.is_dir() and not _alive(left.name):
            shutil.rmtree(left, ignore_errors=True)
    return old


def _alive(name: str) -> bool:
    """Does the process whose id ends this name still run?"""
    return Path(f"/proc/{name.rpartition('-')[2]}").exists()


def prune(store: Store, *, keep: int) -> list[int]:
    """Delete the files of all but the newest `keep` whole releases; the current one, the one being rolled out, and
    where a kept one came from stay. Returns the numbers deleted.

    The claim stays, so that a number never comes back, and the manifest goes first: a release half deleted is none."""
    rows, state = listed(store), rollout.read_state(store)
    wanted = {row["number"] for row in rows[-max(keep, 1) :]} | {current(store), state.release if state else None}
    wanted |= {row["meta"].get("from_release") for row in rows if row["number"] in wanted}
    old = [row["number"] for row in rows if row["number"] not in wanted]
    for number in old:
        store.delete(f"{_prefix(number)}/{release.MANIFEST}")
        for key in store.list(f"{_prefix(number)}/"):
            if not key.endswith("/claim"):
                store.delete(key)
    return old


@contextmanager
def scratch(home: Path) -> Iterator[Path]:
    """A folder of our own on the same file system as Triton's repository, so that a rename suffices."""
    folder = home / "publish" / f"{uuid.uuid4().hex[:8]}-{os.getpid()}"
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def now_us() -> int:
    """UTC microseconds."""
    return time.time_ns() // 1000


def _prefix(number: int) -> str:
    return f"releases/{number:06d}"
