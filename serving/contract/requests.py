"""What a caller asks and is answered, and its validation: raw bytes in, checked values out, or the field named.

Everything a caller sends is hostile until it has passed `decode`. Limits are small because a decision must take
milliseconds: 64 KiB a field, 1,000 arms, 256 bytes of an id, 3,000 brackets a field.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from numbers import Real
from typing import Any

import orjson

from croupier.features.ids import uuid7s
from croupier.features.schema import MAX_ARMS, InvalidEvent
from croupier.features.slates.so_far import SlateSoFar
from croupier.serving.contract import inline_arms
from croupier.serving.contract.inline_arms import mixed

MAX_FIELD_BYTES = 64 * 1024
MAX_ID_BYTES = 256
MAX_PARTS = 3 * MAX_ARMS  # counted before parsing: to make 20,000 lists takes longer than to decide
Listed = tuple[Sequence[str], Sequence[Mapping[str, Any] | None]]  # ids, and features, None for an arm of the catalogue
CANARY = "croupier:canary"  # a unit whose request is the release's own: answered in full, never recorded


@dataclass(slots=True, kw_only=True)  # not frozen, nor is Selection: one of each is made a row (see Decision)
class Request:
    """Show `unit_id` one of `arms`, given `context`. An arm is an id of the catalogue, or {"id", "features"} where the
    request brings it along. `arm_context`, when given, has one object per arm, in their order. `event_id` makes a call
    repeatable: the same id gets the same answer; empty: one is made. Once it is decoded, `arms` are ids alone, and
    `arm_features` says which had features, None for an arm of the catalogue; empty where all are. No `arms` at all: the
    release's shortlist, where app.toml has [retrieval]; `retrieved` then says what it is (features/schema.py). `slate`:
    the slate whose next slot this is."""

    unit_id: str
    context: Mapping[str, Any]
    arms: Sequence[Any]  # AskedArm
    arm_context: Sequence[Mapping[str, Any]] = ()
    event_id: str = ""
    arm_features: Sequence[Mapping[str, Any] | None] = ()
    retrieved: str = ""
    slate: SlateSoFar | None = None


@dataclass(slots=True)
class Selection:
    """The answer: show `arm`; it had probability `propensity` = pmf at arm. `pmf` is over the request's arms, in their
    order, 0 for the `dropped`: arms that are retired, paused or not yet valid. With `error` set ("field: found …,
    expected …") nothing was decided, and the rest is empty."""

    event_id: str
    arm: str
    propensity: float
    pmf: tuple[float, ...]
    release: int
    role: str
    error: str = ""
    dropped: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Raw:
    """A request as it came over the wire: six byte strings, none of them trusted."""

    unit_id: bytes
    context: bytes
    arms: bytes
    arm_context: bytes = b""
    event_id: bytes = b""
    slate: bytes = b""

    @classmethod
    def of(cls, request: Request) -> "Raw":
        """The wire form of a request; InvalidEvent names what JSON cannot carry."""
        if not isinstance(request.context, Mapping):
            raise InvalidEvent("context", request.context, "a mapping of declared features")
        if isinstance(request.arms, str | Mapping) or not hasattr(request.arms, "__getitem__"):
            raise InvalidEvent("arms", request.arms, "a list of arms, not one of them")
        pairs = () if request.arm_context is None else request.arm_context
        if not isinstance(pairs, Sequence) or not all(isinstance(one, Mapping) for one in pairs):
            raise InvalidEvent("arm_context", pairs, "a list of mappings, one per arm")
        return cls(
            utf8("unit_id", request.unit_id),
            dump("context", dict(request.context)),
            dump("arms", mixed(request.arms, request.arm_features) if request.arm_features else list(request.arms)),
            dump("arm_context", [dict(one) for one in pairs]) if pairs else b"",
            utf8("event_id", request.event_id),
            utf8("slate", request.slate.to_json()) if request.slate else b"",
        )


def utf8(field: str, text: object) -> bytes:
    """Raises InvalidEvent for what is no string, or has half a surrogate pair in it."""
    try:
        return text.encode()  # type: ignore[attr-defined, no-any-return]
    except (AttributeError, UnicodeEncodeError):
        raise InvalidEvent(field, text, "a string that UTF-8 can carry") from None


def dump(field: str, value: object) -> bytes:
    """JSON of `value`. Raises InvalidEvent for NaN and Infinity too, which would silently turn into null."""
    try:
        raw = orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)  # first: it bounds the depth
    except orjson.JSONEncodeError as error:
        raise InvalidEvent(field, value, f"what JSON can carry ({error})") from None
    if b"null" in raw and not _finite(value):  # as which orjson writes NaN, and a text may hold it
        raise InvalidEvent(field, value, "finite numbers (leave a missing feature out, or send null)")
    return raw


def _finite(value: object) -> bool:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        return all(map(_finite, value))
    if isinstance(value, Real):  # numpy's numbers are too
        return isfinite(value)
    return not hasattr(value, "tolist") or _finite(value.tolist())  # a numpy array


def decode(raw: Raw, listed: Listed | None = None) -> Request:
    """Raises InvalidEvent naming the field. Feature names and types are the encoder's to check, arms the selector's.
    `listed` is what the bytes of its arms were read as before."""
    unit_id, context = identifier("unit_id", raw.unit_id), read_json("context", raw.context)
    if not isinstance(context, dict):
        raise InvalidEvent("context", context, "a JSON object of declared features")
    arms, given = listed or arms_of(read_json("arms", raw.arms))
    return Request(
        unit_id=unit_id,
        context=context,
        arms=arms,
        arm_context=_pairs(read_json("arm_context", raw.arm_context), len(arms)) if raw.arm_context else (),
        event_id=identifier("event_id", raw.event_id) if raw.event_id else "",
        arm_features=given,
        slate=SlateSoFar.read(read_json("slate", raw.slate)) if raw.slate else None,
    )


def arms_of(arms: Any) -> Listed:
    """The ids of a list of distinct arms, and the features of those that are brought along."""
    if not isinstance(arms, list | tuple) or not arms:
        raise InvalidEvent("arms", arms, f"a non-empty JSON list, each {inline_arms.SHAPE}")
    if len(arms) > MAX_ARMS:
        raise InvalidEvent("arms", f"{len(arms)} arms", f"at most {MAX_ARMS}: narrow the candidates first")
    given: tuple[dict[str, Any] | None, ...] = ()
    if not {str}.issuperset(map(type, arms)) or "" in arms:
        arms, given = inline_arms.apart(arms)
    if len(set(arms)) != len(arms):
        raise InvalidEvent("arms", next(arm for arm, n in Counter(arms).items() if n > 1), "each arm once")
    return tuple(arms), given


def _pairs(arm_context: Any, arms: int) -> tuple[dict[str, Any], ...]:
    if isinstance(arm_context, list) and arm_context and len(arm_context) != arms:
        raise InvalidEvent("arm_context", f"{len(arm_context)} objects", f"one per arm: {arms}")
    if not isinstance(arm_context, list) or not {dict}.issuperset(map(type, arm_context)):
        raise InvalidEvent("arm_context", arm_context, "a JSON list of objects, one per arm")
    return tuple(arm_context)


def scope_of(field: str) -> str:
    """ "arm_context" of "arm_context[2].price: found …": what stands behind it is the caller's, and no label."""
    return field.partition(":")[0].partition(".")[0].partition("[")[0]


def raw_field(raw: "Raw | InvalidEvent", field: str) -> bytes:
    """The bytes behind "arm_context[2].price": those of `arm_context`."""
    name = scope_of(field)
    return bytes(getattr(raw, name)) if isinstance(raw, Raw) and name in Raw.__slots__ else b""


def event_ids(requests: Sequence[Request]) -> list[str]:
    """The event ids of requests; one that has none is given one."""
    made = iter(uuid7s(n) if (n := sum(not r.event_id for r in requests)) else ())
    return [r.event_id or next(made) for r in requests]


def identifier(field: str, raw: bytes) -> str:
    """Raises InvalidEvent unless it is 1 to 256 bytes of printable UTF-8."""
    if not 0 < len(raw) <= MAX_ID_BYTES:
        raise InvalidEvent(field, f"{len(raw)} bytes", f"1 to {MAX_ID_BYTES} bytes of UTF-8")
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        raise InvalidEvent(field, raw[:40], "UTF-8") from None
    if not text.isprintable():
        raise InvalidEvent(field, text, "printable characters (no newline, no control character)")
    return text


def _few_parts(field: str, raw: bytes) -> None:
    if raw.count(b"{") + raw.count(b"[") > MAX_PARTS:
        raise InvalidEvent(field, raw[:40], f"at most {MAX_PARTS} brackets: flat JSON")
    many = field == "arm_context" or (field == "arms" and b"{" in raw)
    if not many and raw.count(b",") > MAX_PARTS:
        raise InvalidEvent(field, raw[:40], f"at most {MAX_PARTS} commas ({MAX_ARMS} arms)")


def check_size(field: str, raw: bytes) -> None:
    """Raises InvalidEvent for what is too long, or has too many parts, to be read."""
    if len(raw) > MAX_FIELD_BYTES:
        raise InvalidEvent(field, f"{len(raw)} bytes", f"at most {MAX_FIELD_BYTES}")
    if len(raw) > MAX_PARTS:  # a short one has not so many of anything
        _few_parts(field, raw)


def read_json(field: str, raw: bytes) -> Any:
    """What a field says. Raises InvalidEvent for what is too long, has too many parts, or is no JSON."""
    check_size(field, raw)
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise InvalidEvent(field, raw[:40], f"JSON ({error}); NaN and Infinity are not JSON") from None
