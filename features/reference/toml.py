"""Python values as TOML, for defaults; the standard library reads TOML and does not write it."""

from collections.abc import Mapping
from math import isinf
from typing import Any

import orjson


def value(found: Any) -> str:
    """Returns TOML text of a default. Raises ValueError for what TOML has not."""
    if isinstance(found, bool):
        return "true" if found else "false"
    if isinstance(found, float):
        return ("-inf" if found < 0 else "inf") if isinf(found) else repr(found)
    if isinstance(found, int):
        return str(found)
    if isinstance(found, str):
        return orjson.dumps(found).decode()  # JSON's escapes are TOML's
    if isinstance(found, list | tuple):
        return f"[{', '.join(map(value, found))}]"
    if isinstance(found, Mapping):
        inside = ", ".join(f"{value(str(name))} = {value(each)}" for name, each in found.items())
        return f"{{ {inside} }}" if inside else "{}"
    raise ValueError(f"found {found!r}, expected a boolean, number, text, list or table")
