"""Every condition of the gate seen to fail, by itself; and the three verdicts."""

from dataclasses import replace

import numpy as np
import pytest

from croupier.features.spec import GateSpec
from croupier.models.gate.bounds.betting import LiftBets
from croupier.models.gate.bounds.lift_bounds import BET
from croupier.models.gate.bounds.planned import LookSchedule
from croupier.models.gate.gate import PROMOTE, REJECT, UNDECIDED, Evidence, judge
from croupier.models.ope.estimators import Moments
from croupier.models.ope.intervals import asymptotic_cs

GOOD = Evidence(
    lift=Moments(10_000, 0.05, 10_000 * 0.25),
    second=Moments(10_000, 0.05, 10_000 * 0.3),
    rows=10_000,
    ess=4000.0,
    largest_share=0.001,
    self_test=0.5,
    unsupported=0.0,
    guardrails={"watch": Moments(10_000, 0.0, 10_000)},
    margins={"watch": 0.05},
)
SPEC = GateSpec()


def test_good_evidence_promotes():
    verdict = judge(GOOD, SPEC)
    assert (verdict.decision, verdict.failed, verdict.rows_needed) == (PROMOTE, (), 0)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("lift_lower", {"lift": Moments(10_000, 0.005, 2500)}),
        ("second_estimator_upper", {"second": Moments(10_000, -0.05, 2500)}),
        ("ess", {"ess": 199.0}),
        ("rows", {"rows": 999}),
        ("max_weight_share", {"largest_share": 0.06}),
        ("propensity_self_test", {"self_test": 0.009}),
        ("features_before_decision", {"leak": 9e-5}),
        ("estimators_agree", {"agreement": 9e-5}),
        ("support", {"unsupported": 0.001}),
        ("data_quality", {"quality_passed": False}),
    ],
)
def test_each_condition_refuses_alone(name, change):
    verdict = judge(replace(GOOD, **change), SPEC)
    assert verdict.failed == (name,)
    assert verdict.decision == UNDECIDED
    failed = next(c for c in verdict.conditions if not c.passed)
    assert not {
        ">": failed.value > failed.threshold,
        ">=": failed.value >= failed.threshold,
        "<=": failed.value <= failed.threshold,
    }[failed.relation]


def test_a_harmed_guardrail_rejects():
    verdict = judge(replace(GOOD, guardrails={"watch": Moments(10_000, -0.1, 10_000)}), SPEC)
    assert (verdict.decision, verdict.failed) == (REJECT, ("guardrail:watch",))


def test_harm_rejects_only_on_a_log_that_can_be_trusted():
    harm = replace(GOOD, lift=Moments(10_000, -0.05, 2500), second=Moments(10_000, -0.05, 2500))
    assert judge(harm, SPEC).decision == REJECT
    assert judge(replace(harm, ess=50.0), SPEC).decision == UNDECIDED


def test_margin_and_alpha_move_the_bar():
    assert judge(GOOD, GateSpec(margin=0.04)).decision == UNDECIDED
    thin = replace(GOOD, lift=Moments(10_000, 0.0145, 2500))
    assert judge(thin, SPEC).decision == PROMOTE
    assert judge(thin, SPEC, alpha=0.001).decision == UNDECIDED


def test_rows_needed_is_an_answer_to_wait_for():
    verdict = judge(replace(GOOD, lift=Moments(10_000, 0.01, 2500)), SPEC)
    assert verdict.rows_needed is not None
    assert 10_000 < verdict.rows_needed < 60_000
    few = judge(replace(GOOD, ess=50.0), SPEC)
    assert few.rows_needed == 30_000  # ESS grows with rows: 4 times as many for 200
    assert judge(replace(GOOD, unsupported=0.1), SPEC).rows_needed is None  # no number of such rows helps
    assert judge(replace(GOOD, lift=Moments(10_000, 0.0, 2500)), SPEC).rows_needed is None


def test_between_planned_looks_nothing_is_decided_and_the_wait_is_until_the_next():
    plan = GateSpec(looks=5, horizon=30_000)
    due = judge(replace(GOOD, schedule=LookSchedule.of(5, 30_000, (6000,), 12_000)), plan)
    assert due.decision == PROMOTE
    between = judge(replace(GOOD, schedule=LookSchedule.of(5, 30_000, (6000,), 10_000)), plan)
    assert (between.decision, between.failed) == (UNDECIDED, ("planned_look",))
    assert between.rows_needed == 2000
    harm = replace(GOOD, lift=Moments(10_000, -0.05, 2500), second=Moments(10_000, -0.05, 2500))
    assert judge(replace(harm, schedule=LookSchedule.of(5, 30_000, (6000,), 12_000)), plan).decision == REJECT
    assert judge(replace(harm, schedule=LookSchedule.of(5, 30_000, (6000,), 10_000)), plan).decision == UNDECIDED
    over = judge(replace(GOOD, schedule=LookSchedule.of(5, 30_000, (6000, 31_000), 32_000)), plan)
    assert (over.decision, over.failed, over.rows_needed) == (UNDECIDED, ("planned_look",), None)


def test_bets_decide_where_the_sequence_cannot_and_take_their_share_of_alpha():
    """Three rows in four are −.01, the rest +.05, and no value lies below −.01: a bet needs fewer of them."""
    values = np.tile([-0.01, -0.01, -0.01, 0.05], 1000)
    bets = LiftBets(values=values, thinning=np.ones(4000), stakes=np.array([1.0, 2.0, 5.0, 10.0]), width=0.05)
    thin = replace(GOOD, lift=Moments(10_000, 0.004, 2500))
    assert judge(thin, SPEC).decision == UNDECIDED
    found = judge(replace(thin, bets=bets), SPEC)
    assert found.decision == PROMOTE
    lower = next(c for c in found.conditions if c.name == "lift_lower")
    assert lower.value == pytest.approx(bets.lower(BET * SPEC.alpha))
    assert lower.reason == "by bets"
    strong = next(c for c in judge(replace(GOOD, bets=bets), SPEC).conditions if c.name == "lift_lower")
    assert strong.value == pytest.approx(asymptotic_cs(GOOD.lift, alpha=(1 - BET) * SPEC.alpha).lower)


def test_bets_that_should_have_told_by_now_are_not_said_to_tell_with_the_next_row():
    """Their values gained nothing, though the mean by DR did: the wait is that of the mean, at its share of alpha."""
    values = np.tile([0.03, -0.03], 5000)
    bets = LiftBets(values=values, thinning=np.ones(10_000), stakes=np.array([5.0]), width=0.1)
    overdue = replace(GOOD, lift=Moments(10_000, 0.006, 2500), bets=bets)
    found = judge(overdue, SPEC)
    alone = judge(replace(overdue, bets=None), SPEC, alpha=(1 - BET) * SPEC.alpha)
    assert found.decision == UNDECIDED
    assert found.rows_needed == alone.rows_needed
    assert alone.rows_needed > 100_000
