"""Is a release that came from the store the one that was published? A folder that agrees with its own manifest may
still be somebody else's.

Whoever may write into the store could put a whole foreign release there, model.py included, which a host would run. So
the current release must have the digest that the pointer names, and model.py must be one that this package wrote.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from croupier.features.store.storage import Store
from croupier.serving.release.bundle import MANIFEST, MODEL, ReleaseRefused
from croupier.serving.release.entry import FORMER_MODELS

CURRENT = "releases/current"


def check(store: Store, folder: Path, manifest: Mapping[str, Any]) -> None:
    """Raises ReleaseRefused unless a verified folder is what this package published under its number."""
    found = manifest["files"].get("model.py", {}).get("sha256", "no model.py")
    if found not in FORMER_MODELS | {hashlib.sha256(MODEL.read_bytes()).hexdigest()}:
        raise ReleaseRefused(folder, "model.py", f"foreign code (SHA-256 {found})", "the model.py of this package")
    expected = pointed(store, manifest["number"])
    if expected not in ("", manifest["digest"]):
        raise ReleaseRefused(folder, MANIFEST, f"digest {manifest['digest']}", f"{expected}, which {CURRENT} names")


def pointed(store: Store, number: int) -> str:
    """The digest that the pointer names for this release; "" where it points to another one, or nowhere."""
    raw, version = store.read(CURRENT)
    pointer = orjson.loads(raw) if version is not None else {}
    return str(pointer.get("digest", "")) if pointer.get("number") == number else ""
