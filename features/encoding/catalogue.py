"""The raw catalogue: which arms exist, with their features, as a JSON list that people can read and diff.

[{"arm_id": "reel-7", "features": {"genre": "comedy"}, "valid_from": 0, "valid_to": 0}, …]
"""

import gc
import hashlib
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import isfinite
from numbers import Real
from pathlib import Path
from typing import Any

import orjson

from croupier.features.schema import Arm, InvalidEvent

MAX_ID_CHARACTERS = 256
PAUSED, NOT_YET, RETIRED = "paused", "not yet", "retired"  # why an arm cannot be chosen
_LIST = 'a JSON list of arms, each {"arm_id": "…", "features": {…}}'
_EXPECTED = "arm_id, features, valid_from, valid_to, paused"
_CANONICAL = orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE | orjson.OPT_SERIALIZE_NUMPY


@contextmanager
def uncollected() -> Iterator[None]:
    """Within it Python looks for no cycles: a large catalogue is millions of objects, none of which is in one, and to
    look through them again and again takes two thirds of the time of reading them."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def dumps(arms: Sequence[Arm]) -> bytes:
    """Returns canonical JSON, arms in the order given (a policy's rows follow it); numpy's arrays are lists. Raises
    InvalidEvent on a bad arm, and on one with NaN or infinity, which would turn into null."""
    _check(arms)
    try:
        with uncollected():
            raw = orjson.dumps([_row(arm) for arm in arms], option=_CANONICAL)
    except orjson.JSONEncodeError as error:
        arm = next((each for each in arms if not _is_json(each)), arms[0])
        raise InvalidEvent(f"catalogue.{arm.arm_id}", arm.features, f"features that JSON can carry ({error})") from None
    if b"null" in raw and (odd := next((arm for arm in arms if not _finite(arm.features)), None)):
        raise InvalidEvent(f"catalogue.{odd.arm_id}", odd.features, "finite numbers (leave a missing feature out)")
    return raw


def loads(data: bytes) -> list[Arm]:
    """Raises InvalidEvent naming the entry and field."""
    with uncollected():
        try:
            rows = orjson.loads(data)
        except orjson.JSONDecodeError as error:
            raise InvalidEvent("catalogue", str(error), _LIST) from None
        if not isinstance(rows, list):
            raise InvalidEvent("catalogue", rows, _LIST)
        arms = [_arm(i, row) for i, row in enumerate(rows)]
        _check(arms)
        return arms


def read(path: Path) -> list[Arm]:
    """Reads the arms of a `catalogue.json`. Raises InvalidEvent naming the entry that is wrong."""
    return loads(path.read_bytes())


def write(path: Path, arms: Sequence[Arm]) -> None:
    """Writes the file whole or not at all: the watch may read it at any moment."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}-{uuid.uuid4().hex[:8]}")
    try:
        draft.write_bytes(dumps(arms))
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def digest(arms: Sequence[Arm]) -> str:
    """Returns 32 hex digits over the canonical bytes: what `Decision.catalogue` and a release's manifest carry."""
    return hashlib.blake2b(dumps(arms), digest_size=16).hexdigest()


def require_selectable(arms: Sequence[Arm], at: int) -> None:
    """Raises InvalidEvent where no arm can be chosen at `at` (UTC µs): then every request would be refused."""
    if all(why_not(arm, at) for arm in arms):
        found = f"{len(arms)} arms, none of which can be chosen now"
        raise InvalidEvent("catalogue", found, "one arm at least that is neither retired nor paused")


def why_not(arm: Arm, at: int) -> str:
    """Why the arm cannot be chosen at `at` (UTC µs): PAUSED, NOT_YET, RETIRED, or "" where it can."""
    if arm.paused:
        return PAUSED
    if at < arm.valid_from:
        return NOT_YET
    return RETIRED if arm.valid_to and arm.valid_to <= at else ""


def _row(arm: Arm) -> dict[str, Any]:
    """`paused` is written only where it is true, so that the digests of catalogues that never had it stay."""
    row = {"arm_id": arm.arm_id, "features": arm.features, "valid_from": arm.valid_from, "valid_to": arm.valid_to}
    return row | {"paused": arm.paused} if arm.paused else row


def _is_json(arm: Arm) -> bool:
    """True if JSON can carry its features."""
    try:
        orjson.dumps(arm.features, option=_CANONICAL)
    except orjson.JSONEncodeError:
        return False
    return True


def _finite(value: object) -> bool:
    """False if there is NaN or infinity in it."""
    if isinstance(value, dict):
        return all(map(_finite, value.values()))
    if isinstance(value, list | tuple):
        return all(map(_finite, value))
    if isinstance(value, Real):  # numpy's numbers are too
        return isfinite(value)
    return not hasattr(value, "tolist") or _finite(value.tolist())  # a numpy array


def _arm(i: int, row: object) -> Arm:
    if not isinstance(row, dict) or "arm_id" not in row:
        raise InvalidEvent(f"catalogue[{i}]", row, "an object with arm_id and features")
    unknown = sorted(row.keys() - {"arm_id", "features", "valid_from", "valid_to", "paused"})
    if unknown:
        raise InvalidEvent(f"catalogue[{i}].{unknown[0]}", row[unknown[0]], _EXPECTED)
    fields: dict[str, Any] = {"features": {}} | row
    return Arm(**fields)


def _check(arms: Sequence[Arm]) -> None:
    seen: set[str] = set()
    for i, arm in enumerate(arms):
        if not isinstance(arm.arm_id, str) or not 0 < len(arm.arm_id) <= MAX_ID_CHARACTERS:
            raise InvalidEvent(f"catalogue[{i}].arm_id", arm.arm_id, f"1 to {MAX_ID_CHARACTERS} characters")
        if arm.arm_id in seen:
            raise InvalidEvent(f"catalogue[{i}].arm_id", arm.arm_id, "an id used once")
        if not isinstance(arm.features, dict):
            raise InvalidEvent(f"catalogue[{i}].features", arm.features, "an object of features")
        for name in ("valid_from", "valid_to"):
            if type(getattr(arm, name)) is not int:
                raise InvalidEvent(f"catalogue[{i}].{name}", getattr(arm, name), "UTC microseconds, or 0")
        if type(arm.paused) is not bool:
            raise InvalidEvent(f"catalogue[{i}].paused", arm.paused, "true or false")
        seen.add(arm.arm_id)
