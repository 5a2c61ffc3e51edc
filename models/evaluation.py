"""Judge policies on a log: one pass, every estimator, paired lifts over the champion, and the gate's verdict.

Policies are judged as served: the exploration floor is mixed in, as the selector will. The log's rows may come from
several policies, releases, stages and fallbacks, each with its own propensity. JSON-able throughout.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from math import isfinite
from typing import Any

import numpy as np

from features.batch import F64, I64, Batch, Floats, Interactions
from features.spec import GateSpec
from models import diagnostics, off_policy, self_tests
from models.evidence import as_it_grew, divergence, evidence_of, steadied, unsupported
from models.exploration import PolicyFailed, guard, with_floor
from models.gate import Verdict, judge
from models.intervals import Bounds, asymptotic_cs
from models.off_policy import Rounds
from models.policy import Policy
from models.reward_model import cross_fit, quality

BLOCK = 8192
LOGGING = "logging"  # the name under which the log's own policy is reported


@dataclass(frozen=True, kw_only=True)
class PolicyReport:
    """One policy's values (reward per decision), their two-sided interval by DR, and, for a candidate, its lift over
    the champion and the verdict. `role` is champion | candidate | logging."""

    role: str
    estimates: dict[str, float]
    bounds: Bounds
    ess: float
    max_weight_share: float
    unsupported: float
    lift: float | None = None
    lift_bounds: Bounds | None = None
    verdict: Verdict | None = None
    intervals: dict[str, dict[str, float]] = field(default_factory=dict)
    weights: list[dict[str, float]] = field(default_factory=list)
    details: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        v = self.verdict
        head: dict[str, Any] = {"role": self.role, **self.estimates}
        head |= {"lower": self.bounds.lower, "upper": self.bounds.upper, "ess": self.ess}
        head |= {"max_weight_share": self.max_weight_share, "support": 1.0 - self.unsupported}
        head |= {"verdict": v.decision if v else self.role, "rows_needed": v.rows_needed if v else None}
        head["conditions"] = v.to_dict()["conditions"] if v else []
        bounds = self.lift_bounds
        head["lift"] = {"value": self.lift, "lower": bounds.lower, "upper": bounds.upper} if bounds else None
        return head | {"intervals": self.intervals, "weights": self.weights, "details": self.details}


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """`policies` holds every judged policy and the log's own; `promoted` the best promoted candidate, or "".

    self_test and leak are p-values of the log's own tests, suspect the feature column a leak would be in (−1: none).
    failed: candidates that gave no pmf, and what they gave; they are judged no further."""

    champion: str
    rows: int
    floor: float
    alpha: float
    self_test: float
    leak: float
    suspect: int
    reward_model: dict[str, float]
    log: dict[str, Any] = field(default_factory=dict)
    policies: dict[str, PolicyReport] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    @property
    def promoted(self) -> str:
        """Among promoted candidates, the one with the highest lower bound."""
        good = [n for n, p in self.policies.items() if p.verdict and p.verdict.decision == "promote"]
        return max(good, key=lambda n: self.policies[n].lift_bounds.lower, default="")  # type: ignore[union-attr]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON: infinities become None."""
        body = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "policies"}
        policies = {name: report.to_dict() for name, report in self.policies.items()}
        return dict(_finite({**body, "promoted": self.promoted, "policies": policies}))


def evaluate(
    policies: Mapping[str, Policy], log: Interactions, *, champion: str, floor: float, gate: GateSpec, seed: int = 0,
    guardrails: Mapping[str, F64] | None = None, quality_passed: bool = True, alpha: float | None = None,
    segments: Mapping[str, Sequence[str]] | None = None, born: I64 | None = None,
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
    pmfs, failed = _served(policies, log.batch, floor, champion)
    rounds = {name: rounds_of(log, pmf, predicted) for name, pmf in (pmfs | {LOGGING: log.pmf}).items()}
    spent = (gate.alpha if alpha is None else alpha) / max(1, len(policies) - 1)
    test, (leak, suspect) = self_tests.propensity(log), self_tests.leak(log)
    reports = {}
    for name, seen in rounds.items():
        role = "champion" if name == champion else LOGGING if name == LOGGING else "candidate"
        report = _report(role, log, seen, pmfs.get(name, log.pmf), gate.alpha)
        if role == "candidate":
            spread = divergence(log, pmfs[name], pmfs[champion])
            evidence = evidence_of(
                seen, rounds[champion], divergence=spread, self_test=test,
                leak=leak, unsupported=report.unsupported, guardrails=guardrails or {}, quality_passed=quality_passed,
            )  # fmt: skip
            verdict, bounds = judge(evidence, gate, alpha=spent), asymptotic_cs(evidence.lift, alpha=spent)
            lift = off_policy.unthinned(off_policy.dr(seen) - off_policy.dr(rounds[champion]), seen.thinning)
            parts = diagnostics.by_segment(lift, segments or {})
            if born is not None:
                parts["age of the arm: its part of the lift"] = diagnostics.by_age(
                    log, pmfs[name] - pmfs[champion], predicted, born
                )
            details = {
                "time": diagnostics.over_time(lift, log.at), "segments": parts,
                "arms": diagnostics.by_arm(log, pmfs[name], pmfs[champion]),
                "curve": as_it_grew(lift, spread, log, alpha=spent),
            }  # fmt: skip
            report = replace(report, lift=evidence.lift.mean, lift_bounds=bounds, verdict=verdict, details=details)
        reports[name] = report
    return Evaluation(
        champion=champion, rows=len(log), floor=floor, alpha=spent, self_test=test, leak=leak, suspect=suspect,
        reward_model=quality(log, predicted), log=diagnostics.of_log(log, predicted), policies=reports,
        failed=failed,
    )  # fmt: skip


def _served(
    policies: Mapping[str, Policy], batch: Batch, floor: float, champion: str
) -> tuple[dict[str, F64], dict[str, str]]:
    """The pmfs, and why a candidate has none: one that fails keeps no other from its verdict."""
    pmfs, failed = {}, {}
    for name, policy in policies.items():
        try:
            pmfs[name] = as_served(policy, batch, floor)
        except PolicyFailed as error:
            if name == champion:
                raise PolicyFailed(f"champion {name}: {error}") from None
            failed[name] = str(error)
    return pmfs, failed


def as_served(policy: Policy, batch: Batch, floor: float, *, rows: int = 4096) -> F64:
    """(n, K): the policy's pmf with the floor mixed in, as the selector draws from it. Raises PolicyFailed where it is
    none: the mass it has too much would be judged as reward."""
    blocks = (batch[start : start + rows] for start in range(0, len(batch), rows))
    return np.concatenate([with_floor(guard(policy.pmf(block), block.mask), block.mask, floor) for block in blocks])


def rounds_of(log: Interactions, pmf: F64, predicted: Floats) -> Rounds:
    """The log as the policy with this pmf (n, K) sees it; `predicted` (n, K) is q̂."""
    if pmf.shape != log.pmf.shape:
        raise ValueError(f"pmf: found shape {pmf.shape}, expected that of the log's arms, {log.pmf.shape}")
    if log.chosen.min() < 0 or log.chosen.max() >= pmf.shape[1]:
        raise ValueError(f"chosen: found {log.chosen.min()} to {log.chosen.max()}, expected 0 to {pmf.shape[1] - 1}")
    target, q, direct = np.empty((3, len(log)))
    first = np.arange(BLOCK) * pmf.shape[1]
    for start in range(0, len(log), BLOCK):  # read in order; what is then picked lies in the cache
        rows = slice(start, start + BLOCK)
        p, predictions = pmf[rows], predicted[rows]
        np.einsum("nk,nk->n", p, predictions, out=direct[rows])
        place = first[: len(p)] + log.chosen[rows]
        target[rows], q[rows] = (table.reshape(-1).take(place, mode="clip") for table in (p, predictions))
    return Rounds(
        reward=log.reward, propensity=log.propensity, target=target, predicted=q, direct=direct, thinning=log.weight
    )


def of_groups(log: Interactions, pmf: F64, group: I64) -> tuple[F64, F64]:
    """π and p of the logged arm's group, (n,) each, for `off_policy.mips`; `group` (A,) of the catalogue's arms."""
    of_arm = group[log.batch.arm]
    same = log.batch.mask & (of_arm == of_arm[np.arange(len(log)), log.chosen][:, None])
    return (pmf * same).sum(axis=1), np.minimum((log.pmf * same).sum(axis=1), 1.0)


def _report(role: str, log: Interactions, rounds: Rounds, pmf: F64, alpha: float) -> PolicyReport:
    values = {k: off_policy.unthinned(f(rounds), rounds.thinning) for k, f in off_policy.ESTIMATORS.items()}
    weight = rounds.weight * rounds.thinning
    bounds = asymptotic_cs(steadied(values["dr"], divergence(log, pmf), log.reward), alpha=alpha / 2)
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


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    return value if not isinstance(value, float) or isfinite(value) else None
