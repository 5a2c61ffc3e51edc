"""Folders of a disk: their files as keys, and names that survive power loss."""

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import IO

PRIVATE = 0o750  # of a folder: its owner may do all, its group look into it, and nobody else anything


def files_below(root: Path, base: str, wanted: Callable[[str], bool] = lambda _: True) -> list[str]:
    """Returns the files below `root/base` as keys relative to `root`, sorted; none where the folder is missing. Of what
    stands in the folder itself only names that are `wanted`, as keys, are looked into. Names that begin with a dot are
    passed over."""
    found = list[str]()
    for folder, folders, files in os.walk(root / base, onerror=_unless_missing):
        start = Path(folder).relative_to(root).as_posix()
        stem, top = "" if start == "." else start + "/", start == (base or ".")
        for names in (folders, files):
            names[:] = [n for n in names if not n.startswith(".") and (not top or wanted(stem + n))]
        found += [stem + name for name in files]
    return sorted(found)


def _unless_missing(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error  # a folder that cannot be read is an outage, not an empty folder


def make_folder(folder: Path) -> None:
    """Makes a folder with what is above it; each new name is synced too, else power loss takes the folder with all that
    is in it."""
    if not folder.exists():
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        sync_folder(folder.parent)


def make_private(folder: Path) -> None:
    """Makes a folder where it is missing, PRIVATE whatever the umask, and what is above it."""
    folder.mkdir(parents=True, exist_ok=True, mode=PRIVATE)


def sync_folder(folder: Path) -> None:
    """Syncs the names in a folder: they, too, must survive power loss."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def opened(data: bytes | Path) -> IO[bytes]:
    """Returns the data, or what a file holds, to be read."""
    return data.open("rb") if isinstance(data, Path) else io.BytesIO(data)
