"""The description of every path, in OpenAPI 3.1: the JSON file beside this module, with the package's version and the
app that is served."""

import importlib.metadata
from functools import cache
from pathlib import Path
from typing import Any

import orjson

FILE = Path(__file__).with_name("paths.openapi.json")


@cache
def document(app: str) -> dict[str, Any]:
    """The document that /openapi.json answers where this app is served."""
    found: dict[str, Any] = orjson.loads(FILE.read_bytes())
    found["info"]["version"] = importlib.metadata.version("croupier")
    found["components"]["parameters"]["App"]["schema"]["enum"] = [app]
    return found
