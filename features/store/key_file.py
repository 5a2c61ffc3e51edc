"""Secrets that lie in a file of their own, made at first use: random, 256 bits, readable by their owner alone, and kept
out of version control with all else that croupier keeps beside them: logs, and salts of the draws.
"""

import os
import secrets
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

DECLARED_ALONE = ("*", "!.gitignore", "!app.toml", "!catalogue.json")  # of an app's folder: what people write


def read_or_make(path: Path) -> str:
    """The secret in `path`, made if it is not there; of two makers at once both get the first one's.

    Raises ValueError when others may read the file, or when it holds no secret."""
    if not path.exists():
        _make(path)
    return read(path)


def read(path: Path) -> str:
    """The secret that is there. Raises FileNotFoundError, and ValueError as `read_or_make` does."""
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        raise ValueError(f"{path}: found mode {mode:04o}, expected 0600: it holds a secret; chmod 600 {path}")
    text = path.read_text().strip()
    if len(text) < 16:
        raise ValueError(f"{path}: found {len(text)} characters, expected a secret of 16 or more; remove it")
    return text


def keep_out(folder: Path, patterns: Sequence[str]) -> None:
    """Tells git what not to take up of a folder, unless somebody has told it already."""
    with suppress(FileExistsError):
        handle = os.open(folder / ".gitignore", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        with os.fdopen(handle, "w") as file:
            file.write("\n".join(("# keys, logs and salts are not for version control", *patterns, "")))


def _make(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    keep_out(path.parent, DECLARED_ALONE)
    draft = path.with_name(f".{path.name}-{secrets.token_hex(8)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w") as file:
            file.write(secrets.token_hex(32))
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):  # another made it meanwhile
            os.link(draft, path)
    finally:
        draft.unlink()
