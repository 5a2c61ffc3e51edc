"""Features as people have them, made flat: what a caller sends, a log holds or a catalogue says, before it is checked.

    {"device": {"type": "phone"}, "tags": ["new"], "age": "31", "mood": null}
    {"device.type": "phone", "tags": ["new"], "age": 31.0}

Nested objects are flattened by dots, null and [] are no feature, and a text that writes a number is one where app.toml
declares so (`strings = true`). Whatever else is of a wrong type stays as it is, for the check to name.
"""

import re
from collections.abc import Collection, Mapping
from math import isfinite
from typing import Any

from croupier.features.schema import InvalidEvent

Row = Mapping[str, Any]
MAX_DEPTH = 16
_NUMBER = re.compile(r"[+-]?(0|[1-9]\d*)?(\.\d+)?([eE][+-]?\d+)?", re.ASCII)  # 007 is a name, not a number
_FLAT = frozenset({str, float, int, bool})


def flattened(row: Row, where: str) -> dict[str, Any]:
    """Returns the features of a row by their dotted names. Raises InvalidEvent for what is too deep, and for a name
    that is given two values."""
    if is_flat(row):
        return dict(row)
    found: dict[str, Any] = {}
    flatten(row, found, where)
    return found


def is_flat(row: Row) -> bool:
    """True if each feature is a number, a text or a boolean, so that nothing has to be flattened or left out."""
    return _FLAT.issuperset(map(type, row.values()))


def flatten(tree: Row, found: dict[str, Any], where: str, *, prefix: str = "", levels: int = MAX_DEPTH) -> None:
    """Adds the features of one more row to those that were found. Raises InvalidEvent as `flattened`."""
    if not levels:
        raise InvalidEvent(f"{where}.{prefix[:80]}", "another object in it", f"at most {MAX_DEPTH} of them, nested")
    for key, value in tree.items():
        name = f"{prefix}.{key}" if prefix else key
        if isinstance(value, Mapping):
            flatten(value, found, where, prefix=name, levels=levels - 1)
        elif value is not None and not (isinstance(value, list | tuple) and not value):
            if name in found and found[name] != value:
                raise InvalidEvent(f"{where}.{name[:80]}", value, "one value of this name: another stands before it")
            found[name] = value


def with_numbers(row: dict[str, Any], names: Collection[str]) -> dict[str, Any]:
    """Returns the row, in which texts under these names that write a number are that number."""
    for name in names:
        value = row.get(name)
        if isinstance(value, str) and (number := number_in(value)) is not None:
            row[name] = number
    return row


def number_in(text: str) -> float | None:
    """The finite number that a text writes as JSON or a program does; None where it writes none, as "007", "1,000"."""
    text = text.strip()
    number = float(text) if any("0" <= c <= "9" for c in text) and _NUMBER.fullmatch(text) else None
    return number if number is not None and isfinite(number) else None
