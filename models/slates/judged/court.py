"""A candidate held against the champion on a log of slates: by cascade-DR, with a second opinion beside it."""

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from croupier.features.batch import F64
from croupier.features.encoded.labels import RowLabels
from croupier.features.utc import DAY
from croupier.models.gate.bounds.steadied import steadied
from croupier.models.gate.evaluation import Court
from croupier.models.gate.evidence import as_it_grew
from croupier.models.gate.gate import AGREEMENT_LEVEL, UNDECIDED, Evidence, judge
from croupier.models.gate.lateness import Lateness
from croupier.models.gate.planning import Known, plan
from croupier.models.gate.reports import PolicyReport
from croupier.models.gate.unseen import Unseen
from croupier.models.ope import diagnostics, estimators
from croupier.models.ope.agreement import agreement as agree
from croupier.models.ope.estimators import Moments, Rounds, unthinned
from croupier.models.ope.unchecked import of_features
from croupier.models.slates.estimators import SlateRounds, cascade_dr, snrips
from croupier.models.slates.evidence import slate_evidence
from croupier.models.slates.judged.opinion import SecondOpinion
from croupier.models.slates.judged.seen import JudgedSlates
from croupier.models.slates.judged.self_tests import goes_down


@dataclass(frozen=True, kw_only=True, eq=False)
class SlateCourt(Court):
    """As `Court`, which has the rows; `base`: the slates as the champion sees them."""

    slates: JudgedSlates
    base: SlateRounds
    opinion: SecondOpinion | None

    def held(self, name: str, report: PolicyReport, seen: SlateRounds, pmf: F64) -> PolicyReport:
        """The report of the candidate of this name, with its lift and its verdict, in reward per slate."""
        spread = self.slates.foretold(pmf, self.champion_pmf)
        evidence = self._second(name, self._evidence(report, seen, pmf, spread))
        verdict, bounds = judge(evidence, self.gate, alpha=self.alpha), evidence.ends(self.alpha).bounds
        known = self._slates_known(evidence)
        details = self._slate_details(seen, spread, pmf) | {"known": asdict(known)}
        if verdict.decision == UNDECIDED and not evidence.identical:
            gap = abs(evidence.lift.mean - self.gate.margin)
            details["plan"] = plan(known, gap=gap, rows=float(len(seen)), looks=self.gate.looks)
        return replace(report, lift=evidence.lift.mean, lift_bounds=bounds, verdict=verdict, details=details)

    def _evidence(self, report: PolicyReport, seen: SlateRounds, pmf: F64, spread: F64) -> Evidence:
        rows = agree(self.log, (pmf, self.champion_pmf), self.slates.predicted)
        down = goes_down(seen, self.base, often=self.asked.often)
        per = len(self.log) / len(seen)
        found = slate_evidence(
            seen,
            self.base,
            divergence=spread,
            self_test=self.self_test,
            unsupported=report.unsupported,
            unit=self.unit,
            second=snrips,
            leak=self.leak.p,
            agreement=min(1.0, 2.0 * min(rows.p, down)),
            quality_passed=self.asked.quality_passed,
            lateness=self._late(seen),
            margins={kind: per * margin for kind, margin in self.asked.margins.items()},
            widths={kind: self.base.reward.shape[1] * width for kind, width in self.asked.widths.items()},
            says=self._says() | ({"estimators_agree": BELOW} if 2.0 * down < AGREEMENT_LEVEL else {}),
            heaviest=self.slates.heaviest(pmf, self.champion_pmf) if self.guardrails else np.inf,
            unchecked=(
                *self._unchecked(),
                *of_features(self.leak.unchecked, rows.unchecked),
                *self.leak.stated(self.asked.features),
            ),
            schedule=self.asked.schedule,
        )
        return replace(found, unseen=self._unseen(seen), guardrails=self._guarded(seen, spread))

    def _second(self, name: str, found: Evidence) -> Evidence:
        """With the pseudoinverse as second opinion, where it can be had."""
        lift = None if self.opinion is None else self.opinion.lift(name)
        if lift is None or self.opinion is None:
            return replace(found, says={**found.says, OPINION: INTERACTIONS})
        said = f"by the self-normalised pseudoinverse, on {len(self.opinion):,} slates that the champion logged"
        return replace(found, second=lift, says={**found.says, OPINION: said})

    def _guarded(self, seen: SlateRounds, spread: F64) -> dict[str, Moments]:
        """Each guardrail's lift a slate, by self-normalised reward-interaction IPS."""
        found = {}
        for kind, values in self.guardrails.items():
            own = self.slates.slates.spread(values)
            lift = snrips(replace(seen, reward=own)) - snrips(replace(self.base, reward=own))
            found[kind] = steadied(unthinned(lift, seen.thinning), spread, own.sum(axis=1), self.unit)
        return found

    def _unseen(self, seen: SlateRounds) -> Unseen | None:
        """Returns what slots' rewards that hardly came could do; the weight of a reward is that down to its slot."""
        if self.asked.declared is None:
            return None
        there, per = self.slates.slates.there, len(self.log) / len(seen)
        one, two = (_slots(each, there) for each in (seen, self.base))
        found = Unseen.of(one, two, self.asked.declared)
        return replace(found, gains=per * found.gains, losses=per * found.losses)

    def _late(self, seen: SlateRounds) -> Lateness | None:
        """What late rewards would add to the lift a slate, each by the weight down to its slot."""
        late = self.asked.late
        if late is None:
            return None
        there, (low, high) = self.slates.slates.there, self.asked.declared or (-np.inf, np.inf)
        one, two = (_slots(each, there) for each in (seen, self.base))
        rows = self.slates.slates.rows[there]
        found = Lateness.of(one, two, self.log[rows], late[rows], self.asked.declared)
        if found is None:
            return None
        more: F64 = np.clip(self.log.reward + late, low, high) - np.clip(self.log.reward, low, high)
        part = (seen.down_to - self.base.down_to) * self.slates.slates.spread(more)
        return replace(found, shift=float(unthinned(part.sum(axis=1), seen.thinning).mean()))

    def _slates_known(self, found: Evidence) -> Known:
        """What tells how many slates a lift takes (gate/planning.py)."""
        rounds = self.slates.rounds
        days = float(rounds.at.max() - rounds.at.min()) / DAY
        value = float(unthinned(cascade_dr(self.base), self.base.thinning).mean())
        traffic = {"value": value, "per_day": len(rounds) / days if days > 0 else 0.0}
        return Known.of(found.lift, found.skew, None, alpha=self.alpha, judged=self.asked.judged_share, **traffic)

    def _slate_details(self, seen: SlateRounds, spread: F64, pmf: F64) -> dict[str, Any]:
        """Where the lift comes from: for people, not for the verdict."""
        lift, rounds = unthinned(cascade_dr(seen) - cascade_dr(self.base), seen.thinning), self.slates.rounds
        first = self.slates.slates.first
        segments = {name: RowLabels.of(labels)[first] for name, labels in self.segments.items()}
        return {
            "time": diagnostics.over_time(lift, rounds.at),
            "segments": diagnostics.by_segment(lift, segments),
            "arms": diagnostics.by_arm(self.log, pmf, self.champion_pmf),
            "curve": as_it_grew(lift, spread, rounds, self.unit, alpha=self.alpha),
            "design_effect": estimators.jackknife_effect(lift, self.unit),
        }


OPINION = "second_estimator_upper"
INTERACTIONS = "by reward-interaction IPS, self-normalised: what the log would draw elsewhere is not known, or too much"
BELOW = "standard and reward-interaction IPS differ: do rewards of a slot depend on those below? Reward the last one"


def _slots(seen: SlateRounds, there: Any) -> Rounds:
    """Every slot as a round, with its weight down to it."""
    weight, ones = seen.down_to[there], np.ones(int(there.sum()))
    thinning = np.broadcast_to(seen.thinning[:, None], there.shape)[there]
    return Rounds(
        reward=seen.reward[there],
        propensity=ones,
        target=weight,
        predicted=ones,
        direct=ones,
        thinning=thinning,
    )
