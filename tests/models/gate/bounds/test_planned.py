"""Planned looks: boundaries of the textbooks, error that adds to α wherever looks fall, looks that were not planned."""

import numpy as np
import pytest
from scipy.stats import norm

from croupier.features.spec import AppSpec, GateSpec
from croupier.models.gate.bounds.lift_bounds import Lift, ends, nominal
from croupier.models.gate.bounds.planned import LookSchedule, boundaries, crossing, spent
from croupier.models.ope.estimators import Moments


def test_boundaries_are_those_of_the_literature():
    """Lan & DeMets's O'Brien–Fleming rule, five even looks at one-sided .025: Jennison & Turnbull 2000, §7.2."""
    found = boundaries((0.2, 0.4, 0.6, 0.8, 1.0), 0.025)
    assert found == pytest.approx([4.877, 3.357, 2.680, 2.290, 2.031], abs=1e-3)
    assert boundaries((1.0,), 0.05)[0] == pytest.approx(norm.isf(0.05))


@pytest.mark.parametrize("shares", [(0.2, 0.4, 0.6, 0.8, 1.0), (0.31, 0.33, 1.0), (0.5, 0.9)])
def test_error_adds_up_to_what_is_spent(shares):
    assert crossing(shares, boundaries(shares, 0.05), 0.0) == pytest.approx(spent(shares[-1], 0.05), abs=1e-6)
    assert spent(1.0, 0.05) == pytest.approx(0.05)


@pytest.mark.medium
def test_walks_cross_as_often_as_promised():
    rng, shares = np.random.default_rng(0), np.array([0.2, 0.4, 0.6, 0.8, 1.0])
    walk = np.cumsum(rng.normal(size=(200_000, 5)) * np.sqrt(0.2), axis=1)
    edges = np.array(boundaries(tuple(shares), 0.05))
    assert ((walk / np.sqrt(shares)) > edges).any(axis=1).mean() == pytest.approx(0.05, abs=0.002)
    moved = walk + 2.6 * shares
    assert ((moved / np.sqrt(shares)) > edges).any(axis=1).mean() == pytest.approx(
        crossing(tuple(shares), edges, 2.6), abs=0.004
    )


def test_looks_are_due_at_planned_rows_and_past_them_once():
    plan = LookSchedule.of(5, 20_000, (), 3999)
    assert (plan.due, plan.next_look) == (False, 4000)
    late = LookSchedule.of(5, 20_000, (3999, 4100, 5000), 7999)
    assert (late.taken, late.due, late.next_look) == ((4100,), False, 8000), "only the second of these was a look"
    assert LookSchedule.of(5, 20_000, (4100,), 8000).due
    last = LookSchedule.of(5, 20_000, (4100, 8000, 12_500, 16_000), 21_000)
    assert last.due
    assert last.boundary(0.05) == pytest.approx(boundaries((0.205, 0.4, 0.625, 0.8, 1.0), 0.05)[-1])
    over = LookSchedule.of(5, 20_000, (4100, 21_000), 22_000)
    assert (over.due, over.next_look) == (False, None)
    skipped = LookSchedule.of(5, 20_000, (), 9000)
    assert skipped.due
    assert LookSchedule.of(5, 20_000, (9000,), 10_000).next_look == 12_000, "a missed look is not made up for"


def test_between_looks_nothing_is_better_than_the_sequence_and_at_one_the_plan_decides():
    moments = Moments(8000, 0.01, 8000 * 0.16)
    due = ends(Lift(moments=moments), alpha=0.05, schedule=LookSchedule.of(5, 20_000, (4000,), 8000))
    z = boundaries((0.2, 0.4), nominal(0.05))[-1]
    assert due.bounds.lower == pytest.approx(0.01 - z * moments.standard_error, rel=1e-6)
    between = ends(Lift(moments=moments), alpha=0.05, schedule=LookSchedule.of(5, 20_000, (4000,), 7999))
    assert between.bounds.lower == ends(Lift(moments=moments), alpha=0.05).bounds.lower


def test_a_smaller_error_is_asked_for_with_more_care():
    """.7 of .05, half of the ledger's second look, and never more than .7."""
    assert nominal(0.05) == pytest.approx(0.035)
    second = 0.05 * 6 / np.pi**2 / 4
    assert nominal(second) / second == pytest.approx(0.5, abs=0.005)
    assert nominal(0.2) == pytest.approx(0.14)


@pytest.mark.parametrize(
    ("gate", "named"),
    [
        ({"looks": 5}, "gate.horizon: found 0, expected at least 5,000"),
        ({"looks": 5, "horizon": 4000}, "gate.horizon: found 4,000"),
        ({"horizon": 20_000}, "gate.looks: found 0 with horizon = 20,000"),
    ],
)
def test_a_plan_that_cannot_be_kept_is_named(gate, named):
    with pytest.raises(ValueError, match=named):
        AppSpec.model_validate({"gate": gate})
    assert GateSpec(looks=5, horizon=20_000).looks == 5
