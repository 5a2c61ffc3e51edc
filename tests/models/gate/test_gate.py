"""Every condition of the gate seen to fail, by itself; and the three verdicts."""

from dataclasses import replace

import pytest

from croupier.features.spec import GateSpec
from croupier.models.gate.gate import PROMOTE, REJECT, UNDECIDED, Evidence, judge
from croupier.models.ope.estimators import Moments

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
