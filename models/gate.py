"""The gate: promote only what is better. A pure function from evidence to a verdict.

Promote iff every condition holds. Reject where harm is shown on a log that can be trusted. Otherwise *not enough
evidence*, with an estimate of how many more rows an answer needs. Inconclusive never promotes.
"""

from dataclasses import asdict, dataclass
from math import ceil, inf, isfinite
from typing import Any

from features.spec import GateSpec
from models.intervals import asymptotic_cs, clt, rows_until
from models.off_policy import Moments

PROMOTE, REJECT, UNDECIDED = "promote", "reject", "not enough evidence"
SELF_TEST_LEVEL = 0.01
LEAK_LEVEL = AGREEMENT_LEVEL = 1e-4  # p-values of normal limits, whose tails are heavier than they say at 1,000 rows
SUPPORT_TOLERANCE = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """`passed` iff value `relation` threshold."""

    name: str
    value: float
    relation: str
    threshold: float
    passed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What a log says of a candidate beside the champion.

    lift: moments of the paired DR lift, reward per decision; second: of the paired SNIPS lift; rows: matured rows;
    ess and largest_share: of the candidate's weights; self_test: p-value of the log's propensities, leak: of its
    features being older than the draw, agreement: of DR and IPS, each unbiased, estimating the same; unsupported: mean
    mass the candidate puts where the log could not; guardrails: moments of (candidate − champion), higher is better."""

    lift: Moments
    second: Moments
    rows: int
    ess: float
    largest_share: float
    self_test: float
    unsupported: float
    guardrails: dict[str, Moments]
    leak: float = 1.0
    agreement: float = 1.0
    quality_passed: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """`rows_needed`: further rows until an answer is likely (power .8 at the estimates); None when none will do."""

    decision: str
    conditions: tuple[Condition, ...]
    rows_needed: int | None
    alpha: float

    @property
    def failed(self) -> tuple[str, ...]:
        return tuple(c.name for c in self.conditions if not c.passed)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def judge(evidence: Evidence, spec: GateSpec, *, alpha: float | None = None) -> Verdict:
    """`alpha`: this look's and this candidate's part of spec.alpha; the whole of it where there is but one."""
    alpha = spec.alpha if alpha is None else alpha
    trust, gain, harm = _trust(evidence, spec), _gain(evidence, spec, alpha), _harmed(evidence, spec, alpha)
    conditions = (*gain, *trust)
    if all(c.passed for c in conditions):
        decision = PROMOTE
    elif harm and all(c.passed for c in trust):
        decision = REJECT
    else:
        decision = UNDECIDED
    needed = _rows_needed(evidence, spec, alpha) if decision == UNDECIDED else 0
    return Verdict(decision=decision, conditions=conditions, rows_needed=needed, alpha=alpha)


def _trust(e: Evidence, spec: GateSpec) -> tuple[Condition, ...]:
    """Whether this log can judge this candidate at all."""
    return (
        _at_least("ess", e.ess, spec.min_ess),
        _at_least("rows", e.rows, spec.min_rows),
        _at_most("max_weight_share", e.largest_share, spec.max_weight_share),
        _at_least("propensity_self_test", e.self_test, SELF_TEST_LEVEL),
        _at_least("features_before_decision", e.leak, LEAK_LEVEL),
        _at_least("estimators_agree", e.agreement, AGREEMENT_LEVEL),
        _at_most("support", e.unsupported, SUPPORT_TOLERANCE),
        _at_least("data_quality", float(e.quality_passed), 1.0),
    )


def _gain(e: Evidence, spec: GateSpec, alpha: float) -> tuple[Condition, ...]:
    """Whether the candidate is better: surely by DR, not denied by SNIPS, and without harm to a guardrail."""
    lower = asymptotic_cs(e.lift, alpha=alpha).lower
    better = Condition(name="lift_lower", value=lower, relation=">", threshold=spec.margin, passed=lower > spec.margin)
    second = _at_least("second_estimator_upper", clt(e.second, alpha=spec.alpha).upper, spec.margin)
    guardrails = (
        _at_least(f"guardrail:{name}", asymptotic_cs(moments, alpha=alpha).upper, 0.0)
        for name, moments in sorted(e.guardrails.items())
    )
    return (better, second, *guardrails)


def _harmed(e: Evidence, spec: GateSpec, alpha: float) -> bool:
    worse = asymptotic_cs(e.lift, alpha=alpha).upper < spec.margin
    return worse or any(asymptotic_cs(m, alpha=alpha).upper < 0.0 for m in e.guardrails.values())


def _rows_needed(e: Evidence, spec: GateSpec, alpha: float) -> int | None:
    """The most any condition asks for; ESS grows with rows. None where more rows of this log cannot help."""
    if e.unsupported > SUPPORT_TOLERANCE or e.self_test < SELF_TEST_LEVEL or e.leak < LEAK_LEVEL:
        return None
    if e.agreement < AGREEMENT_LEVEL:
        return None
    if e.ess <= 0 or not e.quality_passed:
        return None
    total = max(rows_until(e.lift, spec.margin, alpha=alpha), spec.min_rows, e.rows * spec.min_ess / e.ess)
    return max(1, ceil(total - e.rows)) if isfinite(total) and total < inf else None


def _at_least(name: str, value: float, threshold: float) -> Condition:
    return Condition(name=name, value=value, relation=">=", threshold=threshold, passed=value >= threshold)


def _at_most(name: str, value: float, threshold: float) -> Condition:
    return Condition(name=name, value=value, relation="<=", threshold=threshold, passed=value <= threshold)
