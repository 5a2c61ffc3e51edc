"""What is written stays after power loss: fsync of files and folders."""

import os
from pathlib import Path


def flush(folder: Path) -> None:
    """fsync every file and folder below, so that a rename after it never reveals an empty file."""
    for path in [*folder.rglob("*"), folder]:
        sync(path)


def sync(path: Path) -> None:
    """fsync a file or a folder."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
