"""The text of a file as people save it: whatever encoding, line ends or packing, read with a note or refused by name.

UTF-8 is read as it is; UTF-16 by its mark; what is neither is Windows-1252, which holds Latin-1. A gzip file is read
whatever it is called. Workbooks, Parquet and other bytes under the name of a text are refused for what they are.
"""

import csv
import gzip
import io
import sys
import zlib
from pathlib import Path

_BOM = b"\xef\xbb\xbf"
GZIP = b"\x1f\x8b"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_BINARY = {
    b"PK\x03\x04": "a workbook of Excel or another zip file; in Excel, save it as 'CSV UTF-8'",
    b"\xd0\xcf\x11\xe0": "a workbook of an old Excel; save it as 'CSV UTF-8' there",
    b"PAR1": "a Parquet file; call it .parquet",
    b"ARROW1": "a Feather file; call it .feather",
    b"SQLite f": "an SQLite database; export the table as CSV",
    b"%PDF": "a PDF; export the table as CSV",
}


def refuse_no_file(path: Path) -> None:
    """Raises ValueError where the path leads to no file."""
    if path.is_dir():
        raise ValueError(f"{path}: found a folder, expected the file of a log in it")
    if not path.is_file():
        raise ValueError(f"{path}: no such file")


def refuse_empty(path: Path) -> None:
    """Raises ValueError where nothing is in the file."""
    if path.stat().st_size == 0:
        raise ValueError(f"{path}: found an empty file (0 bytes), expected a log; was it cut while it was copied?")


def refuse_binary(path: Path, head: bytes) -> None:
    """Raises ValueError where a text begins as something else does, naming it."""
    for magic, what in _BINARY.items():
        if head.startswith(magic):
            raise ValueError(f"{path}: found {what}; expected text, as its ending says")


def decoded(path: Path) -> tuple[bytes, list[str]]:
    """The file as UTF-8 without a mark, and what was taken for what. Raises ValueError where it is no text."""
    raw, notes = _unpacked(path)
    refuse_binary(path, raw[:8])
    encoding = _encoding(path, raw)
    if encoding != "utf-8":
        raw = raw.decode(encoding).encode()
        notes.append(f"the file is no UTF-8: read as {'Windows-1252 (Latin-1)' if encoding == 'cp1252' else encoding}")
    raw = raw.removeprefix(_BOM)
    if b"\0" in raw:
        line = raw[: raw.index(b"\0")].count(b"\n") + 1
        raise ValueError(f"{path}: found a NUL byte in line {line}, expected text; was the file cut or filled up?")
    if b"\n" not in raw and b"\r" in raw.rstrip(b"\r"):
        raw, notes = raw.replace(b"\r", b"\n"), [*notes, "lines end with CR alone, as old Macs wrote them"]
    return raw, notes


def refuse_ragged(path: Path, text: bytes, separator: str, width: int) -> None:
    """Raises ValueError naming the first row that has not as many fields as the header: a value with a separator in it
    moves all that follow, a cut line lacks some."""
    csv.field_size_limit(sys.maxsize)
    rows = csv.reader(io.TextIOWrapper(io.BytesIO(text), encoding="utf-8", newline=""), delimiter=separator)
    first, count = "", 0
    for row in rows:
        if row and len(row) != width:
            first = first or f"line {rows.line_num}: found {len(row)} fields"
            count += 1
    if count:
        raise ValueError(
            f"{path}: {first}, expected {width} as in the header ({count} such rows); put values that hold a "
            f"{separator!r} into double quotes, and write every field, empty ones too"
        )


def _unpacked(path: Path) -> tuple[bytes, list[str]]:
    raw = path.read_bytes()
    if not raw.startswith(GZIP):
        return raw, []
    try:
        unpacked = gzip.decompress(raw)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path}: found a gzip file that cannot be unpacked ({error}); was it cut?") from None
    if not unpacked:
        raise ValueError(f"{path}: found an empty file inside the gzip, expected a log")
    return unpacked, [] if path.name.lower().endswith(".gz") else ["the file is packed with gzip, whatever its name"]


def _encoding(path: Path, raw: bytes) -> str:
    if raw.startswith(_UTF16):
        return _tried(path, raw, "utf-16")
    zeros = [raw[start:4096:2].count(0) for start in (0, 1)]
    if max(zeros) * 4 > min(len(raw), 4096) and min(zeros) * 20 < max(zeros):  # UTF-16 without a mark
        return _tried(path, raw, "utf-16-be" if zeros[0] > zeros[1] else "utf-16-le")
    try:
        raw.decode()
    except UnicodeDecodeError:
        return _tried(path, raw, "cp1252")
    return "utf-8"


def _tried(path: Path, raw: bytes, encoding: str) -> str:
    try:
        raw.decode(encoding)
    except UnicodeDecodeError as error:
        found = f"bytes that are no UTF-8 and no {encoding} ({error.reason} at byte {error.start})"
        raise ValueError(f"{path}: found {found}, expected text; save it as UTF-8") from None
    return encoding
