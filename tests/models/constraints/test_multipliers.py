"""Multipliers: to JSON and back to the bit, and off the scores before anything is drawn."""

import json

import numpy as np
import pytest

from croupier.models.constraints.multipliers import Multipliers

PRICES = {"spend": 0.1 + 0.2, "floor": 0.0}
NOW = Multipliers(version=3, prices=PRICES, made_from=("2026-11-28T00", "2026-11-29T07"))


def test_there_and_back():
    again = Multipliers.from_json(NOW.to_json())
    assert again == NOW
    assert again.prices["spend"] == 0.1 + 0.2
    moved = NOW.moved({"spend": 1.0, "floor": 0.5}, ("2026-11-29T08", "2026-11-29T08"))
    assert (moved.version, moved.prices["spend"], NOW.prices["spend"]) == (4, 1.0, 0.1 + 0.2)
    with pytest.raises(ValueError, match=r"prices: found \['spend'\]"):
        NOW.moved({"spend": 1.0}, ("", ""))


def test_scores_less_what_an_arm_uses_by_arm_and_by_request():
    scores = np.array([[1.0, 2.0], [3.0, 4.0]])
    two = Multipliers(version=0, prices={"spend": 0.5, "parity": 0.25})
    usage = {"spend": np.array([0.0, 2.0]), "parity": np.array([[4.0, 0.0], [0.0, -4.0]])}
    np.testing.assert_array_equal(two.priced(scores, usage), [[0.0, 1.0], [3.0, 4.0]])
    np.testing.assert_array_equal(two.priced(np.stack([scores, scores]), usage)[1], [[0.0, 1.0], [3.0, 4.0]])
    np.testing.assert_array_equal(scores, [[1.0, 2.0], [3.0, 4.0]])
    turned = Multipliers(version=0, prices=dict(reversed(two.prices.items())))
    assert turned.priced(scores, dict(reversed(usage.items()))).tobytes() == two.priced(scores, usage).tobytes()


@pytest.mark.parametrize(("usage", "says"), [
    ({"spend": np.zeros(2)}, "usage: found ['spend'], expected that of ['floor', 'spend']"),
    ({"spend": np.zeros(3), "floor": np.zeros(2)}, "usage of spend: found shape (3,), expected (2,) or (1, 2)"),
    ({"spend": np.array([0, np.nan]), "floor": np.zeros(2)}, "usage of spend: found NaN or infinity"),
])  # fmt: skip
def test_usage_that_is_not_whole_is_refused(usage, says):
    with pytest.raises(ValueError) as refused:
        NOW.priced(np.zeros((1, 2)), usage)
    assert str(refused.value).startswith(says)


@pytest.mark.parametrize(("text", "says"), [
    ("{", "multipliers: found '{', expected JSON"),
    ("[]", "multipliers: found '[]'"),
    ('{"version": 1, "prices": {}}', "multipliers: found"),
    ('{"version": 1.5, "prices": {}, "made_from": [], "stopped": [], "day": ""}', "version: found 1.5"),
    ('{"version": -1, "prices": {}, "made_from": [], "stopped": [], "day": ""}', "version: found -1"),
    ('{"version": 1, "prices": {"a": -0.5}, "made_from": [], "stopped": [], "day": ""}', "price of a: found -0.5"),
    ('{"version": 1, "prices": {"a": NaN}, "made_from": [], "stopped": [], "day": ""}', "price of a: found nan"),
    ('{"version": 1, "prices": {"a": null}, "made_from": [], "stopped": [], "day": ""}', "price of a: found None"),
    ('{"version": 1, "prices": {}, "made_from": ["x"], "stopped": [], "day": ""}', "made_from: found ('x',)"),
    ('{"version": 1, "prices": {}, "made_from": 7, "stopped": [], "day": ""}', "made_from: found 7"),
])  # fmt: skip
def test_what_is_malformed_is_refused_by_name(text, says):
    with pytest.raises(ValueError) as refused:
        Multipliers.from_json(text)
    assert str(refused.value).startswith(says)


def test_an_object_of_before_hosts_shared_a_budget_is_read_and_what_is_no_share_is_refused():
    old = json.loads(Multipliers(version=3, prices={"ads": 0.1}, day="2026-11-29").to_json())
    without = {name: value for name, value in old.items() if name not in ("left", "hosts")}
    assert Multipliers.from_json(json.dumps(without)) == Multipliers(version=3, prices={"ads": 0.1}, day="2026-11-29")
    new = Multipliers(version=3, prices={"ads": 0.1}, day="2026-11-29", left={"ads": 12.5}, hosts=2)
    assert Multipliers.from_json(new.to_json()) == new
    for wrong, says in (
        ({"hosts": 0}, "hosts: found 0"),
        ({"left": [1]}, "left: found"),
        ({"left": {"ads": "x"}}, "left:"),
    ):
        with pytest.raises(ValueError, match=says):
            Multipliers.from_json(json.dumps(old | wrong))
