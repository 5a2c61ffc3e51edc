"""One cell of a foreign table: missing or not, a list, an object, a feature that JSON can hold."""

import ast
from collections.abc import Mapping
from contextlib import suppress
from decimal import Decimal
from math import isnan
from typing import Any

import orjson

from croupier.features.schema import InvalidEvent

NO_VALUE = frozenset(("", "na", "n/a", "nan", "null", "none", "-", "?", "k.a.", "k. a.", "s.o.", "n.d.", "#n/a"))


def missing(value: Any) -> bool:
    """True for None, NaN and blank text: nothing was written there."""
    if isinstance(value, str):
        return not value.strip()
    return value is None or (isinstance(value, float) and isnan(value))


def unmeasured(value: Any) -> bool:
    """True if a cell of numbers or times holds none: R and spreadsheets write NA, n/a, null there."""
    return missing(value) or (isinstance(value, str) and value.strip().lower() in NO_VALUE)


def as_list(value: Any, role: str = "arms") -> list[Any]:
    """A list column's value, or the text of one, as JSON or as Python prints it. Raises InvalidEvent naming its role
    where it is neither, TypeError where it is another value."""
    try:
        parsed = _parsed(value) if isinstance(value, str) else list(value)
    except ValueError:
        parsed = None
    if not isinstance(parsed, list):
        raise InvalidEvent(role, value, "a list")
    return parsed


def as_object(value: Any) -> dict[str, Any]:
    """Parses a JSON object from text, or passes on one that is parsed. Raises InvalidEvent."""
    parsed = orjson.loads(value) if isinstance(value, str) else value
    if not isinstance(parsed, dict):
        raise InvalidEvent("context", value, "a JSON object")
    return parsed


def features_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """Returns features without missing values and empty lists, the rest as JSON can hold it, the text of a list as that
    list."""
    plain = ((name, _plain(value)) for name, value in row.items() if not missing(value))
    return {name: value for name, value in plain if value != []}


def _plain(value: Any) -> Any:
    """Times as ISO 8601; decimals, and whole numbers of more than 64 bits, as floats."""
    if isinstance(value, str):
        return _structure(value)
    if hasattr(value, "isoformat"):
        return value.isoformat()
    wide = isinstance(value, int) and not -(2**63) <= value < 2**64
    return float(value) if wide or isinstance(value, Decimal) else value


def _structure(text: str) -> Any:
    """The list or object that a text writes out; any other text is itself."""
    if text.strip()[:1] + text.strip()[-1:] in ("[]", "{}"):
        with suppress(ValueError, SyntaxError, RecursionError, MemoryError):
            parsed = _parsed(text)
            return parsed if isinstance(parsed, list | dict) else text
    return text


def _parsed(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        if text.strip()[:1] != "[":
            raise
    try:
        return ast.literal_eval(text.strip())  # as pandas' to_csv writes a column of lists: ['a', 'b']
    except (SyntaxError, RecursionError, MemoryError) as error:  # the latter two: nested deeper than Python reads
        raise ValueError(f"found {text[:80]!r}, expected a list such as [1, 2]") from error
