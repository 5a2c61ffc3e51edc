"""Judge policies on a log: one pass, every estimator, paired lifts over the champion, and the gate's verdict.

Policies are judged as served, with the exploration floor, the rules and the limits of the selector. The log's rows may
come from several policies, releases, stages and fallbacks, each with its own propensity. JSON-able throughout.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from math import inf
from typing import Any

from croupier.features.batch import F64, I64, Floats, Interactions
from croupier.features.encoded.columns import mean, numbered
from croupier.features.schema import CANDIDATE, CHAMPION
from croupier.features.spec import GateSpec
from croupier.features.utc import DAY
from croupier.models.constraints.held import DecisionLimits
from croupier.models.exploration import PolicyFailed
from croupier.models.gate.bounds.planned import LookSchedule
from croupier.models.gate.bounds.steadied import divergence, reach, steadied
from croupier.models.gate.evidence import as_it_grew, evidence_of, heaviest, unsupported
from croupier.models.gate.gate import LEAK_LEVEL, UNDECIDED, Evidence, judge
from croupier.models.gate.lateness import Lateness
from croupier.models.gate.planning import Known, plan
from croupier.models.gate.reports import Evaluation, PolicyReport
from croupier.models.ope import diagnostics, estimators, self_tests
from croupier.models.ope.agreement import agreement as agree
from croupier.models.ope.estimators import Rounds
from croupier.models.ope.intervals import asymptotic_cs
from croupier.models.ope.leaks import tested as leaks
from croupier.models.ope.leaks.tested import Tested
from croupier.models.ope.prequential import Piecewise
from croupier.models.ope.reward_model import cross_fit, quality
from croupier.models.ope.rounds import as_served, of_groups, rounds_of
from croupier.models.ope.unchecked import Unchecked, of_features
from croupier.models.policy import Policy

Limiting = DecisionLimits | None
LOGGING = "logging"  # the name under which the log's own policy is reported


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What is known beside the log: margins of its guardrails, and how wide their ranges are; the declared range of a
    reward; whether its hours passed their checks, and which did not; what rewards that
    came too late would have come to (n,); the names of the features, context columns first,
    then those of pairs; what could not be checked; the plan of looks, where looks are planned; the share of all
    decisions that judge (the others teach); and whether this log is asked often, growing from look to look."""

    margins: Mapping[str, float] = field(default_factory=dict)
    widths: Mapping[str, float] = field(default_factory=dict)
    declared: tuple[float, float] | None = None
    quality_passed: bool = True
    quality_says: str = ""
    late: F64 | None = None
    features: Sequence[str] = ()
    unchecked: Sequence[Unchecked] = ()
    schedule: LookSchedule | None = None
    judged_share: float = 1.0
    often: bool = False


def evaluate(
    policies: Mapping[str, Policy | Piecewise],
    log: Interactions,
    *,
    champion: str,
    floor: float,
    gate: GateSpec,
    seed: int = 0,
    guardrails: Mapping[str, F64] | None = None,
    asked: Asked | None = None,
    quality_passed: bool = True,
    alpha: float | None = None,
    segments: Mapping[str, diagnostics.Labelled] | None = None,
    born: I64 | None = None,
    limits: Limiting = None,
) -> Evaluation:
    """Judge each of `policies` against `policies[champion]` on `log`, which none of them may have learnt from.

    guardrails: per-round values (n,), higher is better. asked: what is known beside the log. alpha: this look's part of
    the error, gate.alpha unless given; it is shared evenly by the candidates, so the best of many is not promoted for
    being one of many. segments: a label a row, {"country": (n,), …}, and born: when each arm came (A,), UTC µs: for
    lifts by segment in the report. limits: what each decision's pmf keeps, as served.
    """
    check(policies, champion, log)
    predicted = cross_fit(log, seed=seed)
    pmfs, failed = served(policies, log, floor, champion, limits)
    rounds = {name: rounds_of(log, pmf, predicted) for name, pmf in (pmfs | {LOGGING: log.pmf}).items()}
    asked = asked or Asked(quality_passed=quality_passed)
    court = Court(
        log=log,
        predicted=predicted,
        unit=numbered(log.unit)[1],
        champion=rounds[champion],
        champion_pmf=pmfs[champion],
        gate=gate,
        alpha=(gate.alpha if alpha is None else alpha) / max(1, len(policies) - 1),
        self_test=self_tests.propensity(log, often=asked.often),
        leak=leaks.tested(log),
        guardrails=guardrails or {},
        asked=asked,
        segments=segments or {},
        born=born,
    )
    reports = {}
    for name, seen in rounds.items():
        role = CHAMPION if name == champion else LOGGING if name == LOGGING else CANDIDATE
        report = _report(log, court.unit, seen, pmfs.get(name, log.pmf), role=role, alpha=gate.alpha)
        reports[name] = court.judged(report, seen, pmfs[name]) if role == CANDIDATE else report
    return Evaluation(
        champion=champion,
        rows=len(log),
        floor=floor,
        alpha=court.alpha,
        self_test=court.self_test,
        leak=court.leak.p,
        suspect=court.leak.suspect,
        judged_share=court.asked.judged_share,
        looks=gate.looks,
        reward_model=quality(log, predicted),
        log=diagnostics.of_log(log, predicted, units=int(court.unit.max()) + 1),
        policies=reports,
        failed=failed,
    )


def check(policies: Mapping[str, Policy | Piecewise], champion: str, log: Interactions) -> None:
    """Raises ValueError where the champion is none of the policies, or there is next to no log."""
    if champion not in policies:
        raise ValueError(f"champion: found {champion!r}, expected one of {', '.join(sorted(policies))}")
    if len(log) < 2:
        raise ValueError(f"log: found {len(log)} matured rows, expected at least 2; wait for rewards, then try again")


def any_better(
    policies: Mapping[str, Policy | Piecewise],
    log: Interactions,
    *,
    champion: str,
    floor: float,
    gate: GateSpec,
    alpha: float,
    seed: int = 0,
    limits: Limiting = None,
) -> bool:
    """False where the confidence sequence at all of `alpha` shows no candidate's lift to exceed the margin: a fourth of
    the time of `evaluate`, for those who ask often. What bets alone would show is left to a whole process's rows."""
    predicted, (pmfs, _) = cross_fit(log, seed=seed), served(policies, log, floor, champion, limits)
    rounds = {name: rounds_of(log, pmf, predicted) for name, pmf in pmfs.items()}
    base, share, unit = rounds.pop(champion), alpha / max(1, len(policies) - 1), numbered(log.unit)[1]
    for name, seen in rounds.items():
        lift = estimators.lift(estimators.dr, seen, base)
        spread = divergence(log, pmfs[name], pmfs[champion])
        moments = steadied(lift, spread, log.reward, unit)
        if asymptotic_cs(moments, alpha=share).lower > gate.margin:
            return True
    return False


@dataclass(frozen=True, kw_only=True, eq=False)
class Court:
    """What every candidate of one evaluation is held against; `unit` (n,) numbers the rows' units."""

    log: Interactions
    unit: I64
    predicted: Floats
    champion: Rounds
    champion_pmf: F64
    gate: GateSpec
    alpha: float
    self_test: float
    leak: Tested
    guardrails: Mapping[str, F64]
    asked: Asked
    segments: Mapping[str, diagnostics.Labelled]
    born: I64 | None

    def judged(self, report: PolicyReport, seen: Rounds, pmf: F64) -> PolicyReport:
        """The candidate's report, with its lift and its verdict."""
        spread = divergence(self.log, pmf, self.champion_pmf)
        agreement = agree(self.log, (pmf, self.champion_pmf), self.predicted)
        evidence = evidence_of(
            seen,
            self.champion,
            divergence=spread,
            self_test=self.self_test,
            leak=self.leak.p,
            agreement=agreement.p,
            unsupported=report.unsupported,
            guardrails=self.guardrails,
            quality_passed=self.asked.quality_passed,
            lateness=self._lateness(seen),
            unit=self.unit,
            margins=self.asked.margins,
            widths=self.asked.widths,
            declared=self.asked.declared,
            says=self._says(),
            heaviest=heaviest(self.log, pmf, self.champion_pmf) if self.guardrails else inf,
            unchecked=(
                *self._unchecked(),
                *of_features(self.leak.unchecked, agreement.unchecked),
                *self.leak.stated(self.asked.features),
            ),
            reach=reach(self.log, pmf, self.champion_pmf) if self_tests.drawn_row_by_row(self.log) else None,
            schedule=self.asked.schedule,
            at=self.log.at,
        )
        verdict, bounds = judge(evidence, self.gate, alpha=self.alpha), evidence.ends(self.alpha).bounds
        known = self._known(evidence)
        details = self._details(seen, spread, pmf) | {"known": asdict(known)}
        if verdict.decision == UNDECIDED and not evidence.identical:
            gap = abs(evidence.lift.mean - self.gate.margin)
            details["plan"] = plan(known, gap=gap, rows=float(len(self.log)), looks=self.gate.looks)
        return replace(report, lift=evidence.lift.mean, lift_bounds=bounds, verdict=verdict, details=details)

    def _known(self, found: Evidence) -> Known:
        """What tells how many rows a lift takes (gate/planning.py)."""
        days = float(self.log.at.max() - self.log.at.min()) / DAY
        value = mean(estimators.unthinned(estimators.dr(self.champion), self.champion.thinning))
        per_day = len(self.log) / days if days > 0 else 0.0
        traffic = {"value": value, "per_day": per_day, "judged": self.asked.judged_share}
        return Known.of(found.lift, found.skew, found.bets, alpha=self.alpha, **traffic)

    def _lateness(self, seen: Rounds) -> Lateness | None:
        late = self.asked.late
        return None if late is None else Lateness.of(seen, self.champion, self.log, late, self.asked.declared)

    def _says(self) -> dict[str, str]:
        """What the numbers of some conditions are about."""
        names, suspect = self.asked.features, self.leak.suspect
        named = self.leak.p < LEAK_LEVEL and 0 <= suspect < len(names)
        feature = f"most suspected: {names[suspect]}" if named else ""
        return {leaks.NAME: feature, "data_quality": self.asked.quality_says}

    def _unchecked(self) -> tuple[Unchecked, ...]:
        """What the log, and what is known beside it, leave open for every candidate alike."""
        one = self_tests.propensity_unchecked(self.log)
        support = tuple(replace(u, name="support") for u in one)  # 1/(K p) averages 1 only if every arm could be drawn
        return (*one, *support, *self_tests.repeated_draws(self.log), *self.asked.unchecked)

    def _details(self, seen: Rounds, spread: F64, pmf: F64) -> dict[str, Any]:
        """Where the lift comes from: for people, not for the verdict."""
        lift = estimators.lift(estimators.dr, seen, self.champion)
        parts = diagnostics.by_segment(lift, self.segments)
        if self.born is not None:
            parts["age of the arm: its part of the lift"] = diagnostics.by_age(
                self.log, (pmf, self.champion_pmf), self.predicted, self.born
            )
        return {
            "time": diagnostics.over_time(lift, self.log.at),
            "segments": parts,
            "arms": diagnostics.by_arm(self.log, pmf, self.champion_pmf),
            "curve": as_it_grew(lift, spread, self.log, self.unit, alpha=self.alpha),
            "design_effect": estimators.jackknife_effect(lift, self.unit),
        }


def served(
    policies: Mapping[str, Policy | Piecewise], log: Interactions, floor: float, champion: str, limits: Limiting
) -> tuple[dict[str, F64], dict[str, str]]:
    """The pmfs, and why a candidate has none: one that fails, or raises, keeps no other from its verdict."""
    pmfs, failed = {}, {}
    for name, policy in policies.items():
        try:
            if isinstance(policy, Piecewise):
                pmfs[name] = policy.served(log, floor, limits)
            else:
                pmfs[name] = as_served(policy, log.batch, floor, limits)
        except Exception as error:
            why = str(error) if isinstance(error, PolicyFailed) else f"{type(error).__name__}: {error}"
            if name == champion:
                raise PolicyFailed(f"champion {name}: {why}") from error
            logging.getLogger(__name__).exception("candidate %s", name)
            failed[name] = why
    return pmfs, failed


def _report(log: Interactions, unit: I64, rounds: Rounds, pmf: F64, *, role: str, alpha: float) -> PolicyReport:
    weight, value = rounds.kept_weight, estimators.unthinned(estimators.dr(rounds), rounds.thinning)
    bounds = asymptotic_cs(steadied(value, divergence(log, pmf), log.reward, unit), alpha=alpha / 2)
    intervals = diagnostics.estimators(rounds, alpha)
    intervals["dr"] = {"value": mean(value), "lower": bounds.lower, "upper": bounds.upper}
    group = diagnostics.arm_groups(log.batch.catalogue)
    if group is not None:
        wanted, drawn = of_groups(log, pmf, group)
        intervals["mips"] = diagnostics.interval(
            estimators.mips(rounds, group_target=wanted, group_propensity=drawn), rounds.thinning, alpha
        )
    return PolicyReport(
        role=role,
        estimates={name: intervals[name]["value"] for name in estimators.ESTIMATORS},
        bounds=bounds,
        ess=estimators.effective_sample_size(weight),
        max_weight_share=estimators.largest_share(weight),
        unsupported=unsupported(log, pmf),
        intervals=intervals,
        weights=diagnostics.weights(rounds),
    )
