"""Judge policies on any log: by slate where the log has slates, by decision where it has none.

    rounds   a slate; a decision by itself is a slate of one slot
    reward   the sum of its slots' rewards; margins of app.toml, which are a decision's, times the slots of a slate
    lift     cascade-DR (models/slates/estimators.py), paired
    second   the pseudoinverse where the champion made the log (opinion.py), else reward-interaction IPS
    units    slates of one unit are no independent evidence, as decisions are none

So a policy is judged by what its pages earn, those lower down included, which change with what stands above them.
"""

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from croupier.features.batch import F64, I64, Interactions
from croupier.features.encoded.labels import RowLabels
from croupier.features.schema import CANDIDATE, CHAMPION
from croupier.features.spec import GateSpec
from croupier.models.gate import evaluation as by_decision
from croupier.models.gate.bounds.steadied import steadied
from croupier.models.gate.evaluation import LOGGING, Asked, Limiting
from croupier.models.gate.reports import Evaluation, PolicyReport
from croupier.models.ope import diagnostics, estimators
from croupier.models.ope.estimators import Rounds, unthinned
from croupier.models.ope.intervals import asymptotic_cs
from croupier.models.ope.leaks import tested as leaks
from croupier.models.ope.prequential import Piecewise
from croupier.models.ope.reward_model import quality
from croupier.models.policy import Policy
from croupier.models.slates.estimators import SlateEstimator, SlateRounds, cascade_dr, rips, sips, snrips, snsips
from croupier.models.slates.from_log import LoggedSlates
from croupier.models.slates.judged.court import SlateCourt
from croupier.models.slates.judged.opinion import Ask, SecondOpinion
from croupier.models.slates.judged.seen import JudgedSlates
from croupier.models.slates.judged.self_tests import propensity

Policies = Mapping[str, Policy | Piecewise]
SHOWN: dict[str, SlateEstimator] = {
    "dr": cascade_dr, "snrips": snrips, "rips": rips, "snsips": snsips, "sips": sips,
}  # fmt: skip


def rounds_in(log: Interactions) -> int:
    """How many rounds of this log are judged: its slates, or its decisions where it has none."""
    found = _slates_in(log)
    return len(log) if found is None else len(found)


def evaluate(policies: Policies, log: Interactions, **asked: Any) -> Evaluation:
    """As gate/evaluation.py's, which judges a log without slates, and says what may be asked."""
    if _slates_in(log) is None:
        return by_decision.evaluate(policies, log, **asked)
    return _by_slate(policies, log, **asked)


def any_better(policies: Policies, log: Interactions, **asked: Any) -> bool:
    """As gate/evaluation.py's: False where no lift is shown to exceed the margin, for those who ask often."""
    if _slates_in(log) is None:
        return by_decision.any_better(policies, log, **asked)
    return _any_slate_better(policies, log, **asked)


def _slates_in(log: Interactions) -> LoggedSlates | None:
    """The whole slates of a log; None where there are fewer than two, and nothing to judge by."""
    if log.slate is None:
        return None
    try:
        found = LoggedSlates.of(log.slate, log.weight)
    except ValueError:
        return None
    return found if len(found) > 1 else None


def _by_slate(
    policies: Policies,
    whole: Interactions,
    *,
    champion: str,
    floor: float,
    gate: GateSpec,
    seed: int = 0,
    guardrails: Mapping[str, F64] | None = None,
    asked: Asked | None = None,
    alpha: float | None = None,
    segments: Mapping[str, diagnostics.Labelled] | None = None,
    limits: Limiting = None,
    born: I64 | None = None,  # noqa: ARG001 - the parts of arms' ages sum to a lift of decisions
) -> Evaluation:
    by_decision.check(policies, champion, whole)
    known = _of_slates(whole, guardrails or {}, asked or Asked(), segments or {})
    log, told = known["log"], known["asked"]
    slates = JudgedSlates.of(log, seed=seed)
    pmfs, failed = by_decision.served(policies, log, floor, champion, limits)
    test, leak = propensity(log, slates.slates, often=told.often), leaks.tested(log)
    seen = {name: slates.seen(pmf) for name, pmf in (pmfs | {LOGGING: log.pmf}).items()}
    court = SlateCourt(
        unit=slates.rounds.unit_number,
        predicted=slates.predicted,
        champion=seen[champion].whole,
        champion_pmf=pmfs[champion],
        gate=_a_slate(gate, len(log) / len(slates.slates)),
        alpha=(gate.alpha if alpha is None else alpha) / max(1, len(policies) - 1),
        self_test=test,
        leak=leak,
        born=None,
        slates=slates,
        base=seen[champion],
        opinion=SecondOpinion.of(slates, champion, pmfs[champion], _asking(policies, pmfs, floor, champion, limits)),
        **known,
    )
    reports = {}
    for name, own in seen.items():
        role = CHAMPION if name == champion else LOGGING if name == LOGGING else CANDIDATE
        report = _report(role, slates, own, pmfs.get(name, log.pmf), gate.alpha)
        reports[name] = court.held(name, report, own, pmfs[name]) if role == CANDIDATE else report
    return _evaluation(court, reports, failed, champion=champion, floor=floor, left_out=len(whole) - len(log))


def _asking(policies: Policies, judged: Collection[str], floor: float, champion: str, limits: Limiting) -> Ask:
    """Asks those that are judged about other rows than the log's, which they do not keep."""
    asked = {
        n: Piecewise(p.name, p.pieces) if isinstance(p, Piecewise) else p for n, p in policies.items() if n in judged
    }
    return lambda rows: by_decision.served(asked, rows, floor, champion, limits)[0]


def _evaluation(
    court: SlateCourt,
    reports: dict[str, PolicyReport],
    failed: dict[str, str],
    *,
    champion: str,
    floor: float,
    left_out: int,
) -> Evaluation:
    slates, earned = court.slates.slates, court.slates.to_go
    return Evaluation(
        champion=champion,
        rows=len(slates),
        floor=floor,
        alpha=court.alpha,
        self_test=court.self_test,
        leak=court.leak.p,
        suspect=court.leak.suspect,
        judged_share=court.asked.judged_share,
        looks=court.gate.looks,
        reward_model=quality(earned, court.predicted),
        log=diagnostics.of_log(earned, court.predicted, units=int(court.unit.max()) + 1),
        policies=reports,
        failed=failed,
        slates={"slots": slates.k, "decisions": len(court.log), "left_out": left_out},
    )


def _any_slate_better(
    policies: Policies,
    whole: Interactions,
    *,
    champion: str,
    floor: float,
    gate: GateSpec,
    alpha: float,
    seed: int = 0,
    limits: Limiting = None,
) -> bool:
    log = _of_slates(whole, {}, Asked(), {})["log"]
    slates, (pmfs, _) = JudgedSlates.of(log, seed=seed), by_decision.served(policies, log, floor, champion, limits)
    base, share = slates.seen(pmfs[champion]), alpha / max(1, len(policies) - 1)
    margin = _a_slate(gate, len(log) / len(slates.slates)).margin
    for pmf in (pmf for name, pmf in pmfs.items() if name != champion):
        seen = slates.seen(pmf)
        lift = unthinned(cascade_dr(seen) - cascade_dr(base), seen.thinning)
        spread = slates.foretold(pmf, pmfs[champion])
        moments = steadied(lift, spread, seen.total, slates.rounds.unit_number)
        if asymptotic_cs(moments, alpha=share).lower > margin:
            return True
    return False


def _of_slates(
    whole: Interactions, guardrails: Mapping[str, F64], asked: Asked, segments: Mapping[str, diagnostics.Labelled]
) -> dict[str, Any]:
    """What is asked, of the rows that are in whole slates alone."""
    assert whole.slate is not None
    rows = LoggedSlates.of(whole.slate, whole.weight).kept
    return {
        "log": whole[rows],
        "guardrails": {kind: values[rows] for kind, values in guardrails.items()},
        "asked": asked if asked.late is None else replace(asked, late=asked.late[rows]),
        "segments": {name: RowLabels.of(labels)[rows] for name, labels in segments.items()},
    }


def _a_slate(gate: GateSpec, slots: float) -> GateSpec:
    """The margins, which app.toml states for a decision, as those of a slate of so many."""
    return gate.model_copy(update={"margin": slots * gate.margin, "guardrail_margin": slots * gate.guardrail_margin})


def _report(role: str, slates: JudgedSlates, seen: SlateRounds, pmf: F64, alpha: float) -> PolicyReport:
    values = {name: unthinned(f(seen), seen.thinning) for name, f in SHOWN.items()}
    whole: Rounds = seen.whole
    moments = steadied(values["dr"], slates.foretold(pmf), seen.total, slates.rounds.unit_number)
    bounds = asymptotic_cs(moments, alpha=alpha / 2)
    intervals = {name: diagnostics.interval(f(seen), seen.thinning, alpha) for name, f in SHOWN.items()}
    intervals["dr"] = {"value": float(values["dr"].mean()), "lower": bounds.lower, "upper": bounds.upper}
    weight = whole.kept_weight
    return PolicyReport(
        role=role,
        estimates={name: float(each.mean()) for name, each in values.items()},
        bounds=bounds,
        ess=estimators.effective_sample_size(weight),
        max_weight_share=estimators.largest_share(weight),
        unsupported=slates.unsupported(pmf),
        intervals=intervals,
        weights=diagnostics.weights(whole),
    )
