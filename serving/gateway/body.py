"""The body of a call: bounded in size and in time, JSON, and an object."""

import asyncio
from typing import Any

import orjson
from starlette.types import Receive, Scope

from croupier.serving.gateway.problems import CallProblem

MAX_BYTES = 1 << 20
SECONDS = 10.0  # for all of it to arrive
JSON, IDENTITY = "application/json", "identity"


async def read(scope: Scope, receive: Receive) -> bytes:
    """All bytes. Raises CallProblem: 413 where they are too many, 408 where they do not come."""
    declared = header(scope, b"content-length", "0")
    if not declared.isascii() or not declared.isdigit() or int(declared) > MAX_BYTES:
        raise _too_large(declared)
    whole = bytearray()
    try:
        async with asyncio.timeout(SECONDS):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise CallProblem(400, "body: found a closed connection, expected all of it")
                whole += message.get("body", b"")
                if len(whole) > MAX_BYTES:
                    raise _too_large(f"more than {MAX_BYTES}")
                if not message.get("more_body", False):
                    return bytes(whole)
    except TimeoutError:
        raise CallProblem(408, f"body: found {len(whole)} bytes after {SECONDS:g} s, expected all of it") from None


async def read_object(scope: Scope, receive: Receive) -> dict[str, Any]:
    """The JSON object that a call brings. Raises CallProblem."""
    coding = header(scope, b"content-encoding", IDENTITY).strip().lower()
    if coding not in ("", IDENTITY):
        found = (
            f"Content-Encoding: found {coding[:80]!r}, expected none, or {IDENTITY}: bodies are read as they are sent"
        )
        raise CallProblem(415, found, field="Content-Encoding")
    raw = await read(scope, receive)
    kind = header(scope, b"content-type").partition(";")[0].strip().lower()
    if kind != JSON:  # a page of another site can send other types to a loopback port without being asked
        raise CallProblem(415, f"Content-Type: found {kind[:80]!r}, expected {JSON}")
    try:
        found = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise CallProblem(400, f"body: found no JSON ({error}), expected an object (NaN is no JSON)") from None
    if not isinstance(found, dict):
        raise CallProblem(400, f"body: found a JSON {type(found).__name__}, expected an object")
    return found


def header(scope: Scope, name: bytes, default: str = "") -> str:
    """The first header of this name, in lower case as ASGI has it."""
    for given, value in scope["headers"]:
        if given == name:
            return str(value, "latin-1")
    return default


def _too_large(found: str) -> CallProblem:
    return CallProblem(413, f"body: found {found[:40]} bytes, expected at most {MAX_BYTES}: send a batch in parts")
