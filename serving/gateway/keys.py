"""The keys that callers show, at most two so that they can be changed without a pause: both are good at once.

The file has a key a line (blank lines and lines that begin with # do not count). It is looked at with each call, and
read again when it has changed. A file that cannot be used any more changes nothing: the keys that were read last stay
good, and the log says so.
"""

import codecs
import hashlib
import hmac
import logging
from pathlib import Path

log = logging.getLogger(__name__)
MOST, SHORTEST, LONGEST = 2, 16, 256
MARKS = (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)  # what some editors save a file with


class KeyFile:
    """The keys in `path`. Raises ValueError where it holds none that can be used, or others may read it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen = self._state()
        self._digests = _read(path)

    def known(self, given: str) -> bool:
        """Whether a caller showed one of the keys; takes as long for each that is wrong."""
        self._follow()
        digest, found = _digest(given), False
        for each in self._digests:
            found |= hmac.compare_digest(digest, each)
        return found

    def _follow(self) -> None:
        seen = self._state()
        if seen == self._seen:
            return
        self._seen = seen
        try:
            self._digests = _read(self._path)
        except ValueError as error:
            log.error("the keys that were read last stay good: %s", error)

    def _state(self) -> tuple[int, int, int]:
        """Which file it is and when it changed; zeros where there is none."""
        try:
            stat = self._path.stat()
        except OSError:
            return 0, 0, 0
        return stat.st_ino, stat.st_mtime_ns, stat.st_size


def _read(path: Path) -> tuple[bytes, ...]:
    """Digests of the keys. Raises ValueError."""
    try:
        mode, raw = path.stat().st_mode & 0o777, path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path}: found no file of keys ({error}), expected one or two keys, a line each") from None
    if mode & 0o077:
        raise ValueError(f"{path}: found mode {mode:04o}, expected 0600: it holds secrets; chmod 600 {path}")
    if raw.startswith(MARKS):
        expected = "none: save it as plain ASCII, as `openssl rand -hex 32 > FILE` does"
        raise ValueError(f"{path}: found a byte order mark at its beginning, expected {expected}")
    lines = [line.strip() for line in raw.decode(errors="replace").splitlines()]
    keys = [line for line in lines if line and not line.startswith("#")]
    if not 0 < len(keys) <= MOST:
        raise ValueError(f"{path}: found {len(keys)} keys, expected one or two, a line each; `openssl rand -hex 32`")
    for key in keys:
        if found := _wrong(key):
            expected = f"{SHORTEST} to {LONGEST} ASCII characters without a space; `openssl rand -hex 32` makes one"
            raise ValueError(f"{path}: found a key {found}, expected {expected}")
    return tuple(map(_digest, keys))


def _wrong(key: str) -> str:
    """What a key has that none may have; it is a secret, so it is not shown."""
    for place, sign in enumerate(key, 1):
        if not "!" <= sign <= "~":
            what = (
                "a space"
                if sign.isspace()
                else "a character that is not ASCII"
                if sign > "~"
                else "a control character"
            )
            return f"with {what} in place {place}"
    return "" if SHORTEST <= len(key) <= LONGEST else f"of {len(key)} characters"


def _digest(key: str) -> bytes:
    """Keys of any length become equally long, so that their comparison tells nothing of them."""
    return hashlib.sha256(key.encode(errors="replace")).digest()
