"""Releases in the store. Each step is whole or did not happen.

releases/000007/claim            create-once: the number is taken
releases/000007/…                every file, manifest.sig where it is signed; manifest.json last: a release exists iff
                                 its manifest does
releases/000007/refused.json     why it never took traffic, if it did not
releases/current                 {"number", "digest"}, changed by compare-and-swap
"""

import socket
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson

from croupier.features.clock import now_us
from croupier.features.encoding import catalogue
from croupier.features.schema import Arm
from croupier.features.settings import Settings
from croupier.features.store import layout, released
from croupier.features.store.folders import PRIVATE
from croupier.features.store.storage import AlreadyExists, Conflict, Store
from croupier.serving.release import bundle, hold_out, provenance, rollout_store, signature
from croupier.serving.release.bundle import ReleaseRefused
from croupier.serving.release.signature import Keys

CURRENT, REFUSED, PAST = "current", "refused", "past"  # what became of a release


def claim(store: Store) -> int:
    """The next number, ours alone: of two publishers one gets it, the other the one after."""
    number = max(layout.release_numbers(store.list(layout.RELEASES), layout.CLAIM), default=0) + 1
    while True:
        try:
            store.create(layout.claim(number), orjson.dumps({"at": now_us(), "host": socket.gethostname()}))
        except AlreadyExists:
            number += 1
        else:
            return number


def upload(store: Store, folder: Path, *, app: str = "", keys: Keys | None = None) -> dict[str, Any]:
    """Verifies a release, signs it for `app` where there is a key (signature.py), then copies every file, the manifest
    last. Raises ReleaseRefused before anything is copied."""
    manifest = bundle.verify(folder)
    number = manifest["number"]
    keys = keys or Keys.of(Settings())
    signed = signature.sign(folder, app=app, keys=keys)
    signature.check(folder, app=app, keys=keys)  # what no host would serve is not published
    if signed:
        store.put(layout.release(number, layout.SIGNATURE), (folder / layout.SIGNATURE).read_bytes())
    for file in manifest["files"]:
        store.put(layout.release(number, file), (folder / file).read_bytes())
    store.create(layout.release(number, layout.MANIFEST), (folder / layout.MANIFEST).read_bytes())
    return manifest


def download(store: Store, number: int, folder: Path, *, app: str = "", keys: Keys | None = None) -> dict[str, Any]:
    """Fetch what the manifest lists into a new `folder`, and verify it: its signature for `app` first, where keys are
    given, then its bytes, and that it is the one published (provenance.py). KeyError when there is no such release."""
    try:
        raw = store.get(layout.release(number, layout.MANIFEST))
    except KeyError:
        raise KeyError(f"no release {number} in {store.url}; `croupier release list` shows those there are") from None
    folder.mkdir(parents=True, mode=PRIVATE)  # the salt of the draws is in the manifest
    (folder / layout.MANIFEST).write_bytes(raw)
    with suppress(KeyError):  # it was not signed
        (folder / layout.SIGNATURE).write_bytes(store.get(layout.release(number, layout.SIGNATURE)))
    signature.check(folder, app=app, keys=keys or Keys.of(Settings()))
    for file in bundle.read_manifest(folder)["files"]:
        path = folder / file
        if not path.resolve().is_relative_to(folder.resolve()):
            raise ReleaseRefused(folder, file, "a path outside the release", "a path within it")
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            path.write_bytes(store.get(layout.release(number, file)))
        except KeyError:
            raise ReleaseRefused(folder, file, f"nothing in {store.url}", "the file") from None
    manifest = bundle.verify(folder)
    provenance.check(store, folder, manifest)
    return manifest


def listed(store: Store) -> list[dict[str, Any]]:
    """Every whole release, oldest first: number, policies, when, and whether it is current or was refused."""
    keys = store.list(layout.RELEASES)
    now_serving, there = current(store), set(keys)
    rows = []
    for number in layout.release_numbers(keys, layout.MANIFEST):
        manifest = released.manifest(store, number)
        refused = layout.refusal(number) in there
        status = CURRENT if number == now_serving else REFUSED if refused else PAST
        rows.append(
            {
                "number": number,
                "status": status,
                "policies": manifest["policies"],
                "toward": manifest.get("toward", {}).get("policy", ""),
                "digest": manifest["digest"],
                "meta": manifest["meta"],
            }
        )
    return rows


def current(store: Store) -> int | None:
    """The number that every host should serve, or None before the first."""
    return released.current(store)


def point(store: Store, number: int, digest: str) -> int:
    """Make `number` current unless a later one is; returns what is current afterwards."""
    body = released.Pointer(number=number, digest=digest).to_json()
    while True:
        there, version = released.pointer(store)
        if there is not None and there.number >= number:
            return there.number
        try:
            store.swap(layout.CURRENT, body, version)
        except Conflict:
            continue
        return number


def prune(store: Store, *, keep: int) -> list[int]:
    """Delete the files of all but the newest `keep` whole releases; the current one, the one being rolled out, and
    where a kept one came from stay. Returns the numbers deleted.

    The claim stays, so that a number never comes back, and the manifest goes first: a release half deleted is none."""
    rows, state = listed(store), rollout_store.read_state(store)
    wanted = {row["number"] for row in rows[-max(keep, 1) :]} | {current(store), state.release if state else None}
    wanted |= {row["meta"].get("from_release") for row in rows if row["number"] in wanted}
    wanted |= {row["meta"].get(hold_out.META, {}).get("of") for row in rows if row["number"] in wanted}
    old = [row["number"] for row in rows if row["number"] not in wanted]
    for number in old:
        store.delete(layout.release(number, layout.MANIFEST))
        for key in store.list(layout.release(number, "")):
            if key != layout.claim(number):
                store.delete(key)
    return old


def refuse(store: Store, number: int, why: Exception) -> None:
    """Keep why this release never took traffic."""
    store.put(layout.refusal(number), orjson.dumps({"at": now_us(), "error": str(why)}))


def manifest(store: Store, number: int) -> dict[str, Any]:
    """What a release says of itself: its policies by role, its origin (`meta`), its new arms."""
    return released.manifest(store, number)


def arms(store: Store, number: int) -> list[Arm]:
    """The catalogue of a release."""
    return catalogue.loads(store.get(layout.release(number, layout.CATALOGUE)))
