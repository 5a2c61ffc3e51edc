"""Judge policies on a log: one pass, every estimator, paired lifts over the champion, and the gate's verdict.

Policies are judged as served: the exploration floor is mixed in, as the selector will. The log's rows may come from
several policies, releases, stages and fallbacks, each with its own propensity. JSON-able throughout.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from features.batch import F64, I64, Floats, Interactions
from features.spec import GateSpec
from models import diagnostics, off_policy, self_tests
from models.evidence import as_it_grew, divergence, evidence_of, steadied, unsupported
from models.exploration import PolicyFailed
from models.gate import judge
from models.intervals import asymptotic_cs
from models.off_policy import Rounds
from models.policy import Policy
from models.prequential import Piecewise
from models.reports import Evaluation, PolicyReport
from models.reward_model import cross_fit, quality
from models.rounds import as_served, of_groups, rounds_of

LOGGING = "logging"  # the name under which the log's own policy is reported


def evaluate(
    policies: Mapping[str, Policy | Piecewise], log: Interactions, *, champion: str, floor: float, gate: GateSpec,
    seed: int = 0, guardrails: Mapping[str, F64] | None = None, quality_passed: bool = True,
    alpha: float | None = None, segments: Mapping[str, Sequence[str]] | None = None, born: I64 | None = None,
) -> Evaluation:  # fmt: skip
    """Judge each of `policies` against `policies[champion]` on `log`, which none of them may have learnt from.

    guardrails: per-round values (n,), higher is better. alpha: this look's part of the error, gate.alpha unless given;
    it is shared evenly by the candidates, so the best of many is not promoted for being one of many. segments:
    a label a row, {"country": (n,), …}, and born: when each arm came (A,), UTC µs: for lifts by segment in the report.
    """
    if champion not in policies:
        raise ValueError(f"champion: found {champion!r}, expected one of {', '.join(sorted(policies))}")
    if len(log) < 2:
        raise ValueError(f"log: found {len(log)} matured rows, expected at least 2; wait for rewards, then try again")
    predicted = cross_fit(log, seed=seed)
    pmfs, failed = _served(policies, log, floor, champion)
    rounds = {name: rounds_of(log, pmf, predicted) for name, pmf in (pmfs | {LOGGING: log.pmf}).items()}
    test, (leak, suspect) = self_tests.propensity(log), self_tests.leak(log)
    court = _Court(
        log=log, predicted=predicted, champion=rounds[champion], champion_pmf=pmfs[champion], gate=gate,
        alpha=(gate.alpha if alpha is None else alpha) / max(1, len(policies) - 1), self_test=test, leak=leak,
        guardrails=guardrails or {}, quality_passed=quality_passed, segments=segments or {}, born=born,
    )  # fmt: skip
    reports = {}
    for name, seen in rounds.items():
        role = "champion" if name == champion else LOGGING if name == LOGGING else "candidate"
        report = _report(role, log, seen, pmfs.get(name, log.pmf), gate.alpha)
        reports[name] = court.judged(report, seen, pmfs[name]) if role == "candidate" else report
    return Evaluation(
        champion=champion, rows=len(log), floor=floor, alpha=court.alpha, self_test=test, leak=leak, suspect=suspect,
        reward_model=quality(log, predicted), log=diagnostics.of_log(log, predicted), policies=reports, failed=failed,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True, eq=False)
class _Court:
    """What every candidate of one evaluation is held against."""

    log: Interactions
    predicted: Floats
    champion: Rounds
    champion_pmf: F64
    gate: GateSpec
    alpha: float
    self_test: float
    leak: float
    guardrails: Mapping[str, F64]
    quality_passed: bool
    segments: Mapping[str, Sequence[str]]
    born: I64 | None

    def judged(self, report: PolicyReport, seen: Rounds, pmf: F64) -> PolicyReport:
        """The candidate's report, with its lift and its verdict."""
        spread = divergence(self.log, pmf, self.champion_pmf)
        evidence = evidence_of(
            seen, self.champion, divergence=spread, self_test=self.self_test, leak=self.leak,
            agreement=self_tests.agreement(seen, self.champion),
            unsupported=report.unsupported, guardrails=self.guardrails, quality_passed=self.quality_passed,
            unit=self.log.unit_number,
        )  # fmt: skip
        verdict, bounds = judge(evidence, self.gate, alpha=self.alpha), asymptotic_cs(evidence.lift, alpha=self.alpha)
        details = self._details(seen, spread, pmf)
        return replace(report, lift=evidence.lift.mean, lift_bounds=bounds, verdict=verdict, details=details)

    def _details(self, seen: Rounds, spread: F64, pmf: F64) -> dict[str, Any]:
        """Where the lift comes from: for people, not for the verdict."""
        lift = off_policy.unthinned(off_policy.dr(seen) - off_policy.dr(self.champion), seen.thinning)
        parts = diagnostics.by_segment(lift, self.segments)
        if self.born is not None:
            parts["age of the arm: its part of the lift"] = diagnostics.by_age(
                self.log, pmf - self.champion_pmf, self.predicted, self.born
            )
        return {
            "time": diagnostics.over_time(lift, self.log.at), "segments": parts,
            "arms": diagnostics.by_arm(self.log, pmf, self.champion_pmf),
            "curve": as_it_grew(lift, spread, self.log, alpha=self.alpha),
            "design_effect": off_policy.design_effect(lift - lift.mean(), self.log.unit_number),
        }  # fmt: skip


def _served(
    policies: Mapping[str, Policy | Piecewise], log: Interactions, floor: float, champion: str
) -> tuple[dict[str, F64], dict[str, str]]:
    """The pmfs, and why a candidate has none: one that fails, or raises, keeps no other from its verdict."""
    pmfs, failed = {}, {}
    for name, policy in policies.items():
        try:
            if isinstance(policy, Piecewise):
                pmfs[name] = policy.served(log, floor)
            else:
                pmfs[name] = as_served(policy, log.batch, floor)
        except Exception as error:
            why = str(error) if isinstance(error, PolicyFailed) else f"{type(error).__name__}: {error}"
            if name == champion:
                raise PolicyFailed(f"champion {name}: {why}") from error
            logging.getLogger(__name__).exception("candidate %s", name)
            failed[name] = why
    return pmfs, failed


def _report(role: str, log: Interactions, rounds: Rounds, pmf: F64, alpha: float) -> PolicyReport:
    values = {k: off_policy.unthinned(f(rounds), rounds.thinning) for k, f in off_policy.ESTIMATORS.items()}
    weight = rounds.weight * rounds.thinning
    bounds = asymptotic_cs(steadied(values["dr"], divergence(log, pmf), log.reward, log.unit_number), alpha=alpha / 2)
    intervals = diagnostics.estimators(rounds, alpha) | {
        "dr": {"value": float(values["dr"].mean()), "lower": bounds.lower, "upper": bounds.upper}
    }
    group = diagnostics.arm_groups(log.batch.catalogue)
    if group is not None:
        wanted, drawn = of_groups(log, pmf, group)
        intervals["mips"] = diagnostics.interval(
            off_policy.mips(rounds, group_target=wanted, group_propensity=drawn), rounds.thinning, alpha)  # fmt: skip
    return PolicyReport(
        role=role, estimates={k: float(v.mean()) for k, v in values.items()}, bounds=bounds,
        ess=off_policy.effective_sample_size(weight), max_weight_share=off_policy.largest_share(weight),
        unsupported=unsupported(log, pmf), intervals=intervals, weights=diagnostics.weights(rounds),
    )  # fmt: skip
