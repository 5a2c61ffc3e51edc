"""A gate's report of a refresh, with what is not met."""

from dataclasses import replace

from croupier.models.gate.gate import UNDECIDED, Condition, Verdict
from croupier.models.gate.reports import PolicyReport
from croupier.models.ope.intervals import Bounds

REPORT = PolicyReport(
    role="candidate",
    estimates={},
    bounds=Bounds(0.0, 1.0),
    ess=300.0,
    max_weight_share=0.1,
    unsupported=0.0,
    lift=0.005,
    lift_bounds=Bounds(-0.02, 0.03),
)


def report(*failed: str, lift: float = 0.005, decision: str = UNDECIDED) -> PolicyReport:
    """A refresh that may lose .01, whose bound is below that, and what else is not met."""
    conditions = [
        Condition(name=name, value=-0.02, relation=">", threshold=-0.01, passed=name not in failed)
        for name in {"lift_lower", "ess", "leak_self_test", "guardrail:complaint", *failed}
    ]
    verdict = Verdict(decision=decision, conditions=tuple(conditions), alpha=0.05, wait=lambda: None)
    return replace(REPORT, lift=lift, verdict=verdict)
