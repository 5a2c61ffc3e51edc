"""Is a release that came from the store the one that was published? A folder that agrees with its own manifest may
still be somebody else's.

Whoever may write into the store could put a whole foreign release there, model.py included, which a host would run. So
the current release must have the digest that the pointer names, model.py must be one that this package wrote, and all
else must be data: Triton's stub adds the folder to its import path, where a module beside model.py would be found.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from croupier.features.store import layout, released
from croupier.features.store.storage import Store
from croupier.serving.release.bundle import MODEL, ReleaseRefused
from croupier.serving.release.entry import FORMER_MODELS

DATA = (layout.JSON, layout.CHECKPOINT)  # how the names of all files but model.py end


def check(store: Store, folder: Path, manifest: Mapping[str, Any]) -> None:
    """Raises ReleaseRefused unless a verified folder is what this package published under its number."""
    found = manifest["files"].get(layout.MODEL_PY, {}).get("sha256", "no model.py")
    if found not in FORMER_MODELS | {hashlib.sha256(MODEL.read_bytes()).hexdigest()}:
        raise ReleaseRefused(folder, layout.MODEL_PY, f"foreign code (SHA-256 {found})", "the model.py of this package")
    for file in manifest["files"]:
        if file != layout.MODEL_PY and not file.endswith(DATA):
            raise ReleaseRefused(folder, file, "a file that may be code", f"data alone: {', '.join(DATA)}")
    expected = pointed(store, manifest["number"])
    if expected not in ("", manifest["digest"]):
        raise ReleaseRefused(
            folder, layout.MANIFEST, f"digest {manifest['digest']}", f"{expected}, which {layout.CURRENT} names"
        )


def pointed(store: Store, number: int) -> str:
    """The digest that the pointer names for this release; "" where it points to another one, or nowhere."""
    found, _ = released.pointer(store)
    return found.digest if found is not None and found.number == number else ""
