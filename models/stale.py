"""A champion that grows old because the log cannot judge its refresh: after a while the rollout judges instead.

The log of a champion that hardly explores tells little of what its family would do now: weights are large, and
more rows of the same log may never show that a refresh loses less than its margin. The refresh is the same family,
trained on more rows. So one that the log neither shows nor refutes for `[refresh] after` goes to its rollout, which
stops what does harm. A log that cannot be trusted (leaks, propensities, quality) is no such case, nor is a guardrail
that is not kept.
"""

from math import isinf

from croupier.features.clock import elapsed, now_us
from croupier.models.gate.gate import UNDECIDED
from croupier.models.gate.reports import PolicyReport

TOO_LITTLE = {
    "lift_lower",
    "lift_lower_with_unseen_rewards",
    "lift_lower_with_late_rewards",
    "ess",
    "ess_of_champion",
    "ess_of_difference",
    "informative_events",
    "rows",
}  # the conditions that too little evidence alone leaves open


def believed(ended: int) -> int:
    """When a champion's training ended, UTC µs; 0, long ago, where that is yet to come: a clock was ahead, so nobody
    knows when it was, and no row would be judged until then."""
    return 0 if isinf(elapsed(ended, now=now_us())) else ended


def undecidable(report: PolicyReport | None) -> bool:
    """True if the candidate is not refuted, is estimated to lose less than it may, and nothing but too little evidence
    stands in its way."""
    if report is None or report.verdict is None or report.lift is None:
        return False
    verdict = report.verdict
    margin = next(c.threshold for c in verdict.conditions if c.name == "lift_lower")
    return verdict.decision == UNDECIDED and report.lift > margin and set(verdict.failed) <= TOO_LITTLE
