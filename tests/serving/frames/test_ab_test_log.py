"""`croupier ope` on the log of an A/B test: a unit's rows are one draw, and propensities that are not true are named."""

import numpy as np
import pytest

from croupier.serving.frames.log_value import by_policy
from croupier.serving.frames.value_shown import notes, shown
from tests.models.ope.kept_arms.ab_log import ABTest
from tests.models.ope.kept_arms.test_judging import table

pytestmark = pytest.mark.medium  # a second each, or many of them: not in `make check`
NAMES = {"unit_id": "user_id", "at": "timestamp"}


def value(made, seed, policy="arm:c"):
    return by_policy(table(made, seed), policy, app="default", columns=NAMES, alpha=0.05)


def test_a_unit_s_rows_together_make_the_interval_wider():
    kept = value(ABTest(units=200, rows=8000), 1)
    anew = value(ABTest(units=200, rows=8000, anew=True), 1)
    errors = [found["estimates"]["ips"]["standard_error"] for found in (kept, anew)]
    assert errors[0] > 1.3 * errors[1]
    assert kept["effective_units"] == pytest.approx(200, rel=0.1)


def test_units_of_one_row_are_rows():
    assert value(ABTest(units=10**7, rows=2000, anew=True), 1)["effective_units"] is None


def test_intervals_hold_for_new_units():
    """95 % of them hold the truth; taken for independent rows, two thirds of them do (z = 1.96 of too small an error)."""
    held = 0
    for seed in range(10):
        found = value(ABTest(units=200, rows=2000, features=1), seed)["estimates"]["ips"]
        held += found["lower"] <= 1 / 7 <= found["upper"]  # beta(1, 6)
        assert abs(found["value"] - 1 / 7) < 5 * found["standard_error"]
    assert held >= 9


def test_the_reward_model_alone_has_no_interval():
    found = value(ABTest(), 1)
    assert (found["estimates"]["dm"]["lower"], found["estimates"]["dm"]["standard_error"]) == (None, None)
    assert found["estimates"]["dm"]["value"] == pytest.approx(1 / 7, abs=0.05)
    assert next(iter(shown(found).columns[3].cells)) == "–"


def test_true_propensities_are_not_doubted_and_false_ones_are():
    for seed in range(2):
        found = value(ABTest(units=300, rows=9000, share=(0.6, 0.3, 0.1)), seed)
        said = notes(found)
        assert found["propensity_self_test"] > 1e-3
        assert not [note for note in said if "propensities true" in note or "not drawn" in note], said
        assert [note for note in said if "9,000 rows are 300 draws" in note]
    false = value(ABTest(rows=4000, anew=True, share=(0.7, 0.2, 0.1), logged=(0.5, 0.3, 0.2)), 1)
    assert false["propensity_self_test"] < 1e-9
    assert [note for note in notes(false) if note.startswith("arms were not drawn with the logged probabilities (p = ")]
    assert np.isfinite(false["weight_z"])
