"""What stands in a verdict besides its decision, to the value. (A mutant of each passed once: tests/faults/README.md.)"""

from dataclasses import replace

import pytest

from croupier.features.spec import GateSpec
from croupier.models.gate import gate
from croupier.models.gate.bounds.planned import LookSchedule
from croupier.models.gate.gate import ALIKE, PROMOTE, UNDECIDED, judge
from croupier.models.ope.estimators import Moments
from croupier.models.ope.intervals import Bounds
from croupier.models.ope.unchecked import Unchecked
from tests.models.gate.test_gate import GOOD, SPEC


def by_name(verdict):
    return {c.name: c for c in verdict.conditions}


def test_policies_that_draw_alike_differ_by_nothing_at_all():
    found = by_name(judge(replace(GOOD, identical=True), SPEC))["lift_lower"]
    assert (found.value, found.threshold, found.passed, found.reason) == (0.0, SPEC.margin, False, f"by {ALIKE}")


def test_what_was_not_checked_stands_where_it_belongs_and_its_parts_right_after_it():
    """Names before and after it in the alphabet: an order of names is not an order of conditions."""
    unchecked = (
        Unchecked(name="support", reason="the log has no pmf", blocks=True),
        Unchecked(name="ess:b", reason="no weights of b", blocks=False),
        Unchecked(name="rows:a", reason="no rows of a", blocks=False),
    )
    verdict = judge(replace(GOOD, unchecked=unchecked), SPEC)
    names = [c.name for c in verdict.conditions]
    plain = [c.name for c in judge(GOOD, SPEC).conditions]
    assert names == [
        part for name in plain for part in {"ess": ["ess", "ess:b"], "rows": ["rows", "rows:a"]}.get(name, [name])
    ]
    assert {c.name: (c.value, c.passed, c.reason, c.blocks) for c in verdict.conditions if c.passed is None} == {
        "support": (None, None, "the log has no pmf", True),
        "ess:b": (None, None, "no weights of b", False),
        "rows:a": (None, None, "no rows of a", False),
    }
    assert (verdict.failed, verdict.decision, verdict.rows_needed) == (("support",), UNDECIDED, None)


def test_a_guardrail_that_was_not_checked_is_asked_to_lose_nothing():
    why = Unchecked(name="guardrail:complaint", reason="no range is declared", blocks=True)
    found = by_name(judge(replace(GOOD, unchecked=(why,)), SPEC))[why.name]
    assert (found.value, found.relation, found.threshold, found.passed) == (None, ">", 0.0, None)
    assert (found.reason, found.blocks) == ("no range is declared", True)


def test_after_the_last_planned_look_the_last_is_named():
    schedule = LookSchedule(looks=3, horizon=30_000, taken=(10_000, 20_000, 31_000), rows=32_000)
    found = by_name(judge(replace(GOOD, schedule=schedule), GateSpec(looks=3, horizon=30_000)))["planned_look"]
    assert (found.value, found.relation, found.threshold) == (32_000, "<=", 31_000)
    assert found.reason == "the last of 3 planned looks was at 31,000 rows; a new plan needs a new candidate"


def test_the_wait_until_the_next_look_may_be_one_row():
    schedule = LookSchedule(looks=3, horizon=30_000, taken=(), rows=9_999)
    assert judge(replace(GOOD, rows=9_999, schedule=schedule), GateSpec(looks=3, horizon=30_000)).rows_needed == 1
    short = judge(GOOD, GateSpec(min_rows=10_001))
    assert (short.decision, short.rows_needed) == (UNDECIDED, 1)


def test_a_lift_that_may_reach_the_margin_is_no_harm():
    assert not gate._harmed(GOOD, SPEC, SPEC.alpha, Bounds(-1.0, SPEC.margin))
    assert gate._harmed(GOOD, SPEC, SPEC.alpha, Bounds(-1.0, SPEC.margin - 1e-12))


def test_a_guardrail_without_any_event_is_bounded_by_chance_alone():
    """n rows without an event, each with probability m / heaviest: exp(−n m / heaviest) = α."""
    silent = replace(GOOD, guardrails={"watch": Moments(10_000, 0.0, 0.0)}, widths={"watch": 2.0}, heaviest=5.0)
    found = by_name(judge(silent, SPEC))["guardrail:watch"]
    assert found.value == pytest.approx(-2.0 * 5.0 * 2.995732273553991 / 10_000)  # ln(1 / .05)
    assert (found.passed, judge(silent, SPEC).decision) == (True, PROMOTE)
    assert found.reason.endswith("no event of it came in these rows: is it logged?")
