"""A table's rows as JSON: one object a line, as pandas' `to_json(orient="records", lines=True)` has it, or an array."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from croupier.features.exchange.tables.nested import one_type
from croupier.features.exchange.tables.roles import REQUIRED, named_roles

_LOOK = 20  # lines in which the first whole JSON value has to stand
_BOM = b"\xef\xbb\xbf"


def holds_rows(path: Path, columns: Mapping[str, str]) -> bool:
    """True for rows of a table, False for whatever else (DSJSON). Raises ValueError on a table written by columns."""
    with path.open("rb") as file:
        lines = [line for line in (file.readline() for _ in range(_LOOK)) if line.strip()]
    lines[:1] = [line.removeprefix(_BOM) for line in lines[:1]]
    if lines and lines[0].lstrip()[:1] == b"[":
        return True
    first = next((row for row in map(_loaded, lines) if isinstance(row, dict)), {})
    if isinstance(first.get("c"), dict) or any(name.startswith("_label") for name in first):
        return False
    found = {columns.get(role, name) for role, name in named_roles(list(first), {}).items() if role in REQUIRED}
    found |= {name for name in columns.values() if name in first or name.partition(".")[0] in first}
    if found and all(_by_row_number(first.get(name)) for name in found):
        raise ValueError(
            f"{path}: found one JSON object of columns, expected one row a line: in pandas, "
            "to_json(path, orient='records', lines=True)"
        )
    return bool(found)


def _by_row_number(value: object) -> bool:
    return isinstance(value, dict) and all(name.isdecimal() for name in value)


def read_rows(path: Path) -> tuple[pl.DataFrame, list[str]]:
    """The frame, and a note on lines that are no JSON object: they are in it as rows without any value, so that they
    are counted with whatever else cannot be used."""
    text = path.read_bytes().removeprefix(_BOM)
    values = _array(path, text) if text.lstrip()[:1] == b"[" else [_loaded(x) for x in text.split(b"\n") if x.strip()]
    rows = [value if isinstance(value, dict) else {} for value in values]
    broken = sum(not isinstance(value, dict) for value in values)
    names = dict.fromkeys(name for row in rows for name in row)
    frame = pl.DataFrame({name: one_type([row.get(name) for row in rows]) for name in names})
    return frame, [f"{broken} lines are no JSON object: rows without a value"] if broken else []


def _array(path: Path, text: bytes) -> list[Any]:
    found = _loaded(text)
    if not isinstance(found, list):
        raise ValueError(f"{path}: found a JSON array that does not end or is broken, expected one of objects")
    return found


def _loaded(line: bytes) -> Any:
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
