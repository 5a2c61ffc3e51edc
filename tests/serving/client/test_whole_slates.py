"""Slates over the wire: the same JSON comes back, what is no answer is not shown, what is hostile is refused by name."""

import orjson
import pytest

from croupier.features.schema import InvalidEvent
from croupier.serving.client import slates
from croupier.serving.client.errors import Unavailable
from croupier.serving.contract import raw_slates
from croupier.serving.contract.raw_slates import RawSlate, decode
from croupier.serving.contract.requests import Selection
from croupier.serving.contract.slates import SlateRequest

ASKED = SlateRequest(
    unit_id="u", context={"device": "phone"}, arms=["a", {"id": "b", "features": {"x": 1.5}}, "c"], k=2,
    event_id="page", arm_context=({"p": 1}, {"p": 2}, {"p": 3}), minimums=({"arms": ["a"], "slots": 1},),
)  # fmt: skip
SLOTS = (
    Selection("page/0", "b", 0.25, (0.5, 0.25, 0.25), 7, "candidate", dropped=("z",)),
    Selection("page/1", "a", 0.5, (0.5, 0.5), 7, "candidate"),
)


def reply(slots=SLOTS, error="", **changes):
    return {"event_id": ["page"], "error": [error], "slots": [raw_slates.to_json(slots)]} | changes


def answered(said, asked=ASKED):
    _, (part,) = slates.encoded([asked])
    return slates.answers(said, part, [asked])[0]


def test_what_is_asked_is_read_as_it_was_asked():
    assert decode(RawSlate.of(ASKED)) == ASKED
    by_slots = SlateRequest(unit_id="u", context={}, arms=["a", "b"], slots=({"place": 0}, {}))
    assert decode(RawSlate.of(by_slots)) == by_slots


def test_what_was_decided_is_read_as_it_was_decided():
    found = answered(reply())
    assert (found.slate_id, found.slots, found.propensity) == ("page", SLOTS, 0.125)
    refused = answered(reply(slots=(), error="arms: found none"))
    assert (refused.slots, refused.error) == ((), "arms: found none")


NO_ANSWERS = {
    "fewer slots": reply(SLOTS[:1]),
    "an arm twice": reply((SLOTS[0], SLOTS[0])),
    "another arm": reply((SLOTS[0], Selection("page/1", "z", 0.5, (0.5, 0.5), 7, "candidate"))),
    "no probability": reply((SLOTS[0], Selection("page/1", "a", 1.5, (0.5, 0.5), 7, "candidate"))),
    "no JSON": {"event_id": ["page"], "error": [""], "slots": ["{"]},
    "no list": {"event_id": ["page"], "error": [""], "slots": ['{"a": 1}']},
    "an older server": {"event_id": ["page"], "error": [""]},
    "two rows": {"event_id": ["page", "x"], "error": ["", ""], "slots": ["[]", "[]"]},
}


@pytest.mark.parametrize("said", NO_ANSWERS.values(), ids=NO_ANSWERS)
def test_what_is_no_answer_is_not_shown(said):
    with pytest.raises(Unavailable, match=r"^reply: "):
        answered(said)


def test_what_is_not_on_record_is_decided_anew_with_its_own_propensity():
    _, (part,) = slates.encoded([ASKED, SlateRequest(unit_id="v", context={}, arms=["a", "b"], k=1)])
    said = {"event_id": ["page", "other"], "error": ["log: full", ""], "slots": ["", raw_slates.to_json(SLOTS[1:])]}
    asked = []

    def fall_back(rows, requests, error):
        asked.append((list(rows), [len(r.arms) for r in requests], error.reason))
        first = [r.arms[0] for r in requests]
        return {i: Selection(f"own/{len(asked)}", first[i], 0.5, (0.5,), 0, "fallback") for i in rows}

    both = [ASKED, SlateRequest(unit_id="v", context={}, arms=["a", "b"], k=1)]
    found = slates.settled(said, part, both, fall_back)
    assert asked == [([0], [3], "log"), ([0], [2], "log")], "slot after slot, the one that was lost alone"
    assert [slot.role for slot in found[0].slots] == ["fallback"] * 2
    assert found[1].slots == SLOTS[1:]


HOSTILE = {
    "no JSON": ({"whole_slate": b"{"}, "slots"),
    "a list": ({"whole_slate": b"[1]"}, "slots"),
    "an unknown field": ({"whole_slate": b'{"k": 2, "kk": 3}'}, "slots"),
    "slots of no objects": ({"whole_slate": b'{"slots": [1]}'}, "slots"),
    "minimums of no objects": ({"whole_slate": b'{"k": 2, "minimums": "a"}'}, "minimums"),
    "arm_context of no objects": ({"arm_context": b'{"p": 1}'}, "arm_context"),
    "a context with NaN": ({"context": b'{"x": NaN}'}, "context"),
    "no arms": ({"arms": b"nothing"}, "arms"),
    "no unit": ({"unit_id": b""}, "unit_id"),
    "a newline in an id": ({"event_id": b"a\n"}, "event_id"),
    "too long": ({"whole_slate": b'{"k": 2, "minimums": [' + b" " * (64 << 10) + b"]}"}, "slots"),
}


@pytest.mark.parametrize(("changes", "field"), HOSTILE.values(), ids=HOSTILE)
def test_what_is_hostile_is_refused_by_name(changes, field):
    raw = RawSlate.of(ASKED)
    fields = {name: getattr(raw, name) for name in RawSlate.__slots__} | changes
    with pytest.raises(InvalidEvent) as error:
        decode(RawSlate(**fields))
    assert error.value.field == field


def test_what_cannot_be_sent_is_answered_by_name_and_the_others_are_asked():
    bad = SlateRequest(unit_id="u", context={"x": float("nan")}, arms=["a", "b"], k=2)
    found, (part,) = slates.encoded([bad, ASKED])
    assert found[0].error.startswith("context: found")
    assert [i for i, _ in part] == [1]
    assert orjson.loads(part[0][1].whole_slate) == {"k": 2, "minimums": [{"arms": ["a"], "slots": 1}]}
