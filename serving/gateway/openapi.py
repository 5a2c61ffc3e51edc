"""The description of every path, in OpenAPI 3.1: the JSON file beside this module, with the version of the package."""

import importlib.metadata
from functools import cache
from pathlib import Path
from typing import Any

import orjson

FILE = Path(__file__).with_name("paths.openapi.json")


@cache
def document() -> dict[str, Any]:
    """The document that /openapi.json answers."""
    found: dict[str, Any] = orjson.loads(FILE.read_bytes())
    found["info"]["version"] = importlib.metadata.version("croupier")
    return found
