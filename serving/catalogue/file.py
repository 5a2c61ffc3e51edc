"""Whose catalogue.json counts, where several hosts of an app have one: that which was changed last.

    arms/accepted.json           in the store: digest of the file that was released last, by which host, when
    <home>/catalogue.accepted    the digest of this host's file when it last agreed with the store

A host whose file did not change since then only follows. So an old copy never undoes what another host released, and
two hosts whose files differ do not take turns.
"""

from pathlib import Path

import orjson

from croupier.features.store import layout
from croupier.features.utc import from_us
from croupier.features.workspace import Workspace


class OldFile(ValueError):
    """The catalogue.json of this host is older than what another host released."""


def check(w: Workspace, digest: str) -> None:
    """Raises OldFile unless the file of this digest may be released from here."""
    raw, version = w.store.read(layout.ARMS_ACCEPTED)
    there = orjson.loads(raw) if version is not None else {}
    if there.get("digest") == digest:
        _mark(w.home, digest)
    elif there and there["host"] != w.settings.host and _marked(w.home) in ("", digest):
        raise OldFile(
            f"{w.home / layout.CATALOGUE}: found another catalogue than host {there['host']} released at "
            f"{from_us(there['at']):%Y-%m-%d %H:%M:%S} UTC, and no change on this host since; copy the file from there "
            "(a change that is made here will count)"
        )


def accept(w: Workspace, digest: str, now: int) -> None:
    """The file of this digest is what the app's catalogue is, from now on."""
    raw, version = w.store.read(layout.ARMS_ACCEPTED)
    if version is None or orjson.loads(raw)["digest"] != digest:
        w.store.put(layout.ARMS_ACCEPTED, orjson.dumps({"digest": digest, "host": w.settings.host, "at": now}))
    _mark(w.home, digest)


def _marked(home: Path) -> str:
    try:
        return (home / layout.CATALOGUE_ACCEPTED).read_text()
    except FileNotFoundError:
        return ""


def _mark(home: Path, digest: str) -> None:
    if _marked(home) != digest:
        draft = home / layout.CATALOGUE_ACCEPTED_DRAFT
        draft.write_text(digest)
        draft.replace(home / layout.CATALOGUE_ACCEPTED)
