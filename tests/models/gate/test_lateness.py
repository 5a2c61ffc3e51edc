"""Rewards of one arm that come after the window: the gate promotes nobody, and refuses nobody, for that alone."""

import numpy as np
import pytest

from tests.models.gate.complaints import NONE, Shop

pytestmark = pytest.mark.medium
CONDITION = "lift_lower_with_late_rewards"
HALF = 0.5


@pytest.fixture(autouse=True)
def var(tmp_path, monkeypatch):
    monkeypatch.setenv("CROUPIER_VAR", str(tmp_path))


def judged(clicks, late):
    shop = Shop(NONE, clicks=np.array(clicks), late=np.array(late))
    found, conditions = shop.verdict(shop.features()[0])
    return shop, found, conditions


def test_an_arm_that_wins_because_the_others_rewards_are_late_is_not_promoted():
    """All arms are worth the same; half of the clicks for a and b come too late, so that c looks twice as good."""
    shop, found, conditions = judged([0.4, 0.4, 0.4], [HALF, HALF, 0.0])
    assert (found["promoted"], found["evaluation"]["policies"]["fixed_arm"]["verdict"]) == ("", "not enough evidence")
    assert [name for name, c in conditions.items() if c["passed"] is False] == [CONDITION]
    rows = slice(-found["evaluation"]["rows"], None)
    late, arm = shop.late[rows], shop.arm[rows]
    lower = conditions["lift_lower"]["value"]
    assert lower > 0.05
    assert conditions[CONDITION]["value"] == pytest.approx(lower - late.mean())  # c has none; the champion is uniform
    worst = max("ab", key=lambda a: late[arm == "ab".index(a)].mean())
    share = late[arm == "ab".index(worst)].mean()
    assert conditions[CONDITION]["reason"].startswith(
        f"late rewards counted: {share:.1%} of the decisions for arm {worst} had one, "
    )


def test_what_is_better_though_its_own_rewards_are_late_too_is_promoted():
    _, found, conditions = judged([0.1, 0.2, 0.6], [HALF, HALF, HALF])
    assert found["promoted"] == "fixed_arm", found["summary"]
    assert conditions[CONDITION]["value"] == pytest.approx(conditions["lift_lower"]["value"])  # it could only gain


def test_an_arm_whose_own_rewards_are_late_is_not_shown_to_harm():
    """Were its late clicks not counted, c would be rejected."""
    _, found, _ = judged([0.4, 0.4, 0.4], [0.0, 0.0, HALF])
    assert found["evaluation"]["policies"]["fixed_arm"]["verdict"] == "not enough evidence"


def test_without_late_rewards_nothing_is_asked():
    _, found, conditions = judged([0.1, 0.2, 0.4], [0.0, 0.0, 0.0])
    assert found["promoted"] == "fixed_arm"
    assert CONDITION not in conditions
