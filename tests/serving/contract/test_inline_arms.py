"""Inline arms on their way over the wire: apart from ids and back, by the quick look and by the careful one."""

import orjson
import pytest

from croupier.features.schema import InvalidEvent
from croupier.serving.client import fallback
from croupier.serving.contract import inline_arms
from croupier.serving.contract.requests import Raw, Request, decode

X, Y = {"id": "x", "features": {"price": 3.5}}, {"id": "ü", "features": {}}


def asked(arms):
    return Request(unit_id="u", context={}, arms=arms)


@pytest.mark.parametrize("arms", [[X, Y], [X, "a", Y], ["a", "b"]])
def test_what_is_asked_is_what_is_decoded_and_can_be_asked_again(arms):
    once = decode(Raw.of(asked(arms)))
    assert list(once.arms) == list(inline_arms.ids(arms))
    given = [arm["features"] if isinstance(arm, dict) else None for arm in arms]
    assert list(once.arm_features) == (given if any(isinstance(arm, dict) for arm in arms) else [])
    assert inline_arms.mixed(once.arms, once.arm_features) == arms
    assert decode(Raw.of(once)) == once


def test_the_quick_look_takes_nothing_that_the_careful_one_refuses():
    for odd in (
        {"id": ""},
        {"id": 3},
        {"id": "a\n"},
        {"id": "a" * 257},
        {"features": []},
        {"features": None},
        {"more": 1},
    ):
        with pytest.raises(InvalidEvent, match=r"^arms\[1\]"):
            inline_arms.apart([X, Y | odd])
    with pytest.raises(InvalidEvent, match=r"^arms\[1\]\.features\.arm_id"):
        inline_arms.apart([X, {"id": "z", "features": {"arm_id": "y"}}])
    assert inline_arms.apart([X, Y]) == (["x", "ü"], (X["features"], {}))


def test_an_arm_stands_once_whichever_way_it_comes():
    with pytest.raises(InvalidEvent, match="arms: found 'x', expected each arm once"):
        decode(Raw.of(asked([X, "x"])))


def test_a_thousand_inline_arms_have_room_for_their_commas():
    arms = [{"id": f"i{i}", "features": {"a": 1, "b": 2, "c": 3}} for i in range(1000)]
    assert len(decode(Raw.of(asked(arms))).arm_features) == 1000


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_json_cannot_carry_is_refused_in_them_too(value):
    with pytest.raises(InvalidEvent, match=r"arms: found .* expected finite numbers"):
        Raw.of(asked([{"id": "x", "features": {"price": value}}]))
    assert Raw.of(asked([{"id": "x", "features": {"name": "null"}}]))


def test_the_clients_own_decision_is_recorded_with_them():
    chosen, record = fallback.decide(asked([X, Y]), "deadline")
    assert chosen.arm in {"x", "ü"}
    assert orjson.loads(record["arms"]) == [X, Y]
    assert record["arm"] == chosen.arm
