"""A slate over the wire: all of its slots are asked for in one call, and answered in one.

What a slate has beside the fields of a decision, which are its slots and its minimums, is one JSON object, so that it
travels as one tensor (`whole_slate`); so is the answer (`slots`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import orjson

from croupier.features.schema import InvalidEvent
from croupier.serving.contract.requests import Raw, Request, Selection, dump, identifier, read_json, scope_of, utf8
from croupier.serving.contract.slates import Slate, SlateRequest

ASKED = frozenset({"k", "slots", "minimums"})
SHAPE = 'a JSON object of "k" or "slots", and of "minimums"'


@dataclass(frozen=True, slots=True)
class RawSlate:
    """A slate as it is asked for over the wire: none of it trusted."""

    unit_id: bytes
    context: bytes
    arms: bytes
    arm_context: bytes
    event_id: bytes
    whole_slate: bytes

    @classmethod
    def of(cls, asked: SlateRequest) -> Self:
        """The wire form of a slate that passed `contract.slates.error_of`. Raises InvalidEvent naming what JSON cannot
        carry."""
        raw = Raw.of(
            Request(unit_id=asked.unit_id, context=asked.context, arms=asked.arms, arm_context=asked.arm_context)
        )
        said: dict[str, Any] = {"slots": list(map(dict, asked.slots))} if asked.slots else {"k": asked.k}
        if asked.minimums:
            said["minimums"] = [{"arms": list(one["arms"]), "slots": one["slots"]} for one in asked.minimums]
        event = utf8("event_id", asked.event_id)
        return cls(raw.unit_id, raw.context, raw.arms, raw.arm_context, event, dump("slots", said))


def decode(raw: RawSlate) -> SlateRequest:
    """Raises InvalidEvent naming the field. What is wrong with slots and minimums is said where they are decided."""
    said = read_json("slots", raw.whole_slate)
    if not isinstance(said, dict) or not said.keys() <= ASKED:
        raise InvalidEvent("slots", said, SHAPE)
    slots, minimums = said.get("slots", []), said.get("minimums", [])
    pairs = read_json("arm_context", raw.arm_context or b"[]")
    for name, found in (("slots", slots), ("minimums", minimums), ("arm_context", pairs)):
        if not isinstance(found, list) or not {dict}.issuperset(map(type, found)):
            raise InvalidEvent(name, found, "a JSON list of objects")
    return SlateRequest(
        unit_id=identifier("unit_id", raw.unit_id),
        context=read_json("context", raw.context),
        arms=read_json("arms", raw.arms),
        slots=tuple(slots),
        arm_context=tuple(pairs),
        event_id=identifier("event_id", raw.event_id) if raw.event_id else "",
        k=said.get("k", 0),
        minimums=tuple(minimums),
    )


def to_json(slots: Sequence[Selection]) -> str:
    """The slots of a slate as they travel."""
    return orjson.dumps(list(slots)).decode()


def from_json(slate_id: str, text: str, asked: SlateRequest) -> Slate:
    """Restores what `to_json` wrote in answer to `asked`. Raises ValueError, TypeError, KeyError or AttributeError
    where it is no answer to it."""
    slots = tuple(_selection(row) for row in orjson.loads(text))
    if len(slots) != len(asked.places) or len({slot.arm for slot in slots}) != len(slots):
        raise ValueError(f"{len(slots)} slots, {len(asked.places)} were asked for, each with another arm")
    if any(not 0 < slot.propensity <= 1 for slot in slots):
        raise ValueError(f"propensities {[slot.propensity for slot in slots]}")
    return Slate(slate_id=slate_id, slots=slots)


def _selection(row: Mapping[str, Any]) -> Selection:
    return Selection(**{**row, "pmf": tuple(row["pmf"]), "dropped": tuple(row["dropped"])})


def raw_field(raw: RawSlate, field: str) -> bytes:
    """The bytes behind a field of a refusal; those of "slots" and "minimums" are in the one object."""
    return bytes(getattr(raw, name)) if (name := scope_of(field)) in RawSlate.__slots__ else raw.whole_slate
