"""The allowance: a share, and grants that only grow."""

from dataclasses import replace

import numpy as np
import pytest

from croupier.models.constraints.allowance import MOST, Allowance
from croupier.models.constraints.multipliers import Multipliers
from croupier.models.constraints.running_value import RunningValue

VALUE = RunningValue(alpha=0.1, delta=0.05, rows=100.0, used=5.0)
BEGUN = Allowance(promise="0-abc", share=0.1)


def test_what_is_certified_is_spread_and_granted_by_traffic():
    """25 certified, of which 5 are counted as used: 20 for the 60 that wait and the 40 to come is .2 of each."""
    found = BEGUN.after(VALUE, 25.0, pending=60.0, hourly={"a": 30.0, "b": 10.0})
    assert found.share == pytest.approx(0.1 + 20 / 100)
    assert found.grants == {"a": 25.0 * 0.75, "b": 25.0 * 0.25}
    again = found.after(VALUE, 33.0, pending=60.0, hourly={"c": 10.0})
    assert again.grants == {"a": 25.0 * 0.75, "b": 25.0 * 0.25, "c": 8.0}, "what was granted is not taken back"


def test_grants_never_exceed_what_was_certified_and_never_fall():
    rng, found, budget = np.random.default_rng(1), BEGUN, 0.0
    for _ in range(200):
        budget = max(budget, rng.normal(10, 30))
        before, hosts = found, rng.choice(list("abcd"), 2)
        found = found.after(VALUE, budget, pending=100.0, hourly=dict.fromkeys(map(str, hosts), 5.0))
        assert sum(found.grants.values()) <= budget + 1e-9
        assert all(found.grants[host] >= n for host, n in before.grants.items())


def test_a_share_is_at_least_alpha_and_at_most_nine_tenths():
    assert BEGUN.after(VALUE, 0.0, pending=10.0, hourly={}).share == 0.1
    assert BEGUN.after(VALUE, 1e9, pending=10.0, hourly={"a": 1.0}).share == MOST
    bold = replace(VALUE, alpha=0.95)
    assert BEGUN.after(bold, 1e9, pending=10.0, hourly={}).share == 0.95


def test_it_travels_in_the_multipliers_and_older_ones_have_none():
    one = Allowance(promise="1-abc", share=0.25, grants={"a": 1 / 3})
    text = Multipliers(version=4, prices={}, allowance=one).to_json()
    assert Multipliers.from_json(text).allowance == one
    older = '{"version": 1, "prices": {}, "made_from": [], "stopped": [], "day": ""}'
    assert Multipliers.from_json(older).allowance is None
    assert one.of("abc")
    assert not one.of("bc")


@pytest.mark.parametrize(("body", "said"), [
    ({"promise": "p", "share": 1.0, "grants": {}}, "share: found 1.0, expected a share of at least 0 and below 1"),
    ({"promise": "p", "share": True, "grants": {}}, "share: found True"),
    ({"promise": "p", "share": float("nan"), "grants": {}}, "share: found nan"),
    ({"promise": "p", "share": 0.1, "grants": {"a": -1.0}}, "grant of a: found -1.0, expected a finite number"),
    ({"promise": "p", "share": 0.1, "grants": {"a": "1"}}, "grant of a: found '1'"),
    ({"promise": 1, "share": 0.1, "grants": {}}, "expected a text as promise"),
    ({"promise": "p", "share": 0.1, "grants": []}, "amounts by host as grants"),
    ({"promise": "p", "share": 0.1}, "expected an object with promise, share and grants"),
    ([], "expected an object with promise, share and grants"),
])  # fmt: skip
def test_what_is_none_is_refused(body, said):
    with pytest.raises(ValueError, match=said):
        Allowance.of_body(body)
