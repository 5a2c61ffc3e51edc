"""The gate: promote only what is better. A pure function from evidence to a verdict.

Promote iff every condition holds. Reject where harm is shown on a log that can be trusted. Otherwise *not enough
evidence*, with an estimate of how many more rows an answer needs. Inconclusive never promotes.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property, partial
from math import ceil, inf, isfinite, log
from typing import Any

from croupier.features.spec import GateSpec
from croupier.models.gate.bounds.betting import LiftBets
from croupier.models.gate.bounds.lift_bounds import BET, Ends, Lift, ends
from croupier.models.gate.bounds.planned import LookSchedule
from croupier.models.gate.informative import UNASKED, Informative
from croupier.models.gate.lateness import Lateness
from croupier.models.gate.planning import ALWAYS, Known, rows_for
from croupier.models.gate.unseen import Unseen
from croupier.models.ope.estimators import Moments
from croupier.models.ope.intervals import Bounds, asymptotic_cs, clt, rows_until
from croupier.models.ope.unchecked import Unchecked

PROMOTE, REJECT, UNDECIDED = "promote", "reject", "not enough evidence"
SELF_TEST_LEVEL = 0.01
LEAK_LEVEL = 5e-3  # of Bernstein's bounds, which hold: of sound logs far fewer are refused (models/GATE.md counts them)
AGREEMENT_LEVEL = 1e-3
SUPPORT_TOLERANCE = 1e-6
GUARDRAIL = "guardrail:"
ALIKE = "both policies drawing alike on every row"


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """`passed` iff value `relation` threshold; None: it could not be checked. `reason` says why not, or what the number
    is. A condition that was not checked counts as not passed if it `blocks`; otherwise it is stated."""

    name: str
    value: float | None
    relation: str
    threshold: float
    passed: bool | None
    reason: str = ""
    blocks: bool = True

    @property
    def holds(self) -> bool:
        """Whether it stands in nobody's way."""
        return not self.blocks if self.passed is None else self.passed


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What a log says of a candidate beside the champion.

    lift: moments of the paired DR lift, reward per decision; second: of the paired SNIPS lift; rows: matured rows;
    ess and largest_share: of the candidate's weights; self_test: p-value of the log's propensities, leak: of its
    features being older than the draw, agreement: of DR and IPS, each unbiased, estimating the same; unsupported: mean
    mass the candidate puts where the log could not; guardrails: moments of (candidate − champion), higher is better;
    margins: how much a decision each may lose (spec.guardrail_margin where none is said), widths: of their ranges;
    informative: how many draws tell the two apart; unseen: declared rewards that have not come (None where no range is
    known); lateness: what rewards that came too late would change (None where none did); heaviest: the largest weight
    of either policy; units: of equal activity; says: what a condition's number is about, by its name; unchecked: what
    could not be asked. skew, bets: more of the lift (gate/bounds/); schedule: of planned looks; identical: the two
    policies never differ on these rows."""

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
    margins: Mapping[str, float] = field(default_factory=dict)
    widths: Mapping[str, float] = field(default_factory=dict)
    heaviest: float = inf
    informative: Informative = UNASKED
    unseen: Unseen | None = None
    lateness: Lateness | None = None
    units: float = inf
    says: Mapping[str, str] = field(default_factory=dict)
    unchecked: tuple[Unchecked, ...] = ()
    skew: float = 0.0
    bets: LiftBets | None = None
    schedule: LookSchedule | None = None
    identical: bool = False

    def ends(self, alpha: float) -> Ends:
        """The lift's bounds at this error, by the mode that is declared."""
        if self.identical:  # whatever the rewards are: both policies draw alike
            return Ends(bounds=Bounds(0.0, 0.0), by=ALIKE, even_if=0.0)
        shift = 0.0 if self.unseen is None else self.unseen.shift(alpha)
        known = Lift(moments=self.lift, skew=self.skew, bets=self.bets)
        return ends(known, alpha=alpha, shift=shift, schedule=self.schedule)


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """`wait` foretells `rows_needed`, once somebody reads it: a simulation that judges a million times does not."""

    decision: str
    conditions: tuple[Condition, ...]
    alpha: float
    wait: Callable[[], int | None] = field(repr=False, compare=False)

    @cached_property
    def rows_needed(self) -> int | None:
        """Further rows until an answer is likely (power .8 at the estimates); None when none will do."""
        return self.wait()

    @property
    def failed(self) -> tuple[str, ...]:
        """The names of the conditions that stand in the way: not passed, or not checked with nothing else to stand
        in."""
        return tuple(c.name for c in self.conditions if not c.holds)

    @property
    def unchecked(self) -> tuple[str, ...]:
        """The names of the conditions that were not checked."""
        return tuple(c.name for c in self.conditions if c.passed is None)

    def to_dict(self) -> dict[str, Any]:
        """The verdict as JSON."""
        conditions = [asdict(c) for c in self.conditions]
        return {
            "decision": self.decision, "conditions": conditions, "rows_needed": self.rows_needed, "alpha": self.alpha
        }  # fmt: skip


def judge(evidence: Evidence, spec: GateSpec, *, alpha: float | None = None) -> Verdict:
    """`alpha`: this look's and this candidate's part of spec.alpha; the whole of it where there is but one."""
    alpha = spec.alpha if alpha is None else alpha
    found, integrity = evidence.ends(alpha), _integrity(evidence, spec)
    gain, harm = _gain(evidence, spec, alpha, found), _harmed(evidence, spec, alpha, found.bounds)
    conditions = (*gain, *integrity)
    if all(c.holds for c in conditions):
        decision = PROMOTE
    elif harm and all(c.holds for c in integrity):
        decision = REJECT
    else:
        decision = UNDECIDED
    blocked = any(c.passed is None and not c.holds for c in conditions)
    wait = partial(_rows_needed, evidence, spec, alpha, undecided=decision == UNDECIDED, blocked=blocked)
    return Verdict(decision=decision, conditions=conditions, alpha=alpha, wait=wait)


def _integrity(e: Evidence, spec: GateSpec) -> tuple[Condition, ...]:
    """Whether this log can judge this candidate at all."""
    asked = (
        _at_least("ess", e.ess, spec.min_ess),
        _at_least("ess_of_champion", e.informative.champion_ess, spec.min_ess),
        _at_least("ess_of_difference", e.informative.difference_ess, spec.min_ess),
        _at_least("informative_events", e.informative.events, spec.min_events),
        _at_least("effective_units", e.units, spec.min_units),
        _at_least("rows", e.rows, spec.min_rows),
        _at_most("max_weight_share", e.largest_share, spec.max_weight_share),
        _at_least("propensity_self_test", e.self_test, SELF_TEST_LEVEL),
        _at_least("features_before_decision", e.leak, LEAK_LEVEL),
        _at_least("estimators_agree", e.agreement, AGREEMENT_LEVEL),
        _at_most("support", e.unsupported, SUPPORT_TOLERANCE),
        _at_least("data_quality", float(e.quality_passed), 1.0),
    )
    said = tuple(replace(c, reason=e.says.get(c.name, "")) for c in asked)
    return _stated(said, [u for u in e.unchecked if not u.name.startswith(GUARDRAIL)])


def _stated(asked: tuple[Condition, ...], unchecked: Sequence[Unchecked]) -> tuple[Condition, ...]:
    """With what could not be checked in its place; a part of a condition follows the condition."""
    whole, out = {u.name: u for u in unchecked}, list[Condition]()
    for c in asked:
        out.append(_not_checked(c, whole[c.name]) if c.name in whole else c)
        parts = [u for u in unchecked if u.name.partition(":")[0] == c.name != u.name]
        out += [_not_checked(replace(c, name=u.name), u) for u in parts]
    return tuple(out)


def _not_checked(c: Condition, why: Unchecked) -> Condition:
    return replace(c, value=None, passed=None, reason=why.reason, blocks=why.blocks)


def _gain(e: Evidence, spec: GateSpec, alpha: float, found: Ends) -> tuple[Condition, ...]:
    """Whether the candidate is better: surely by DR, not denied by SNIPS, and without harm to a guardrail."""
    better = replace(_above("lift_lower", found.bounds.lower, spec.margin), reason=f"by {found.by}")
    known = [better]
    if e.unseen is not None:
        worst = _above("lift_lower_with_unseen_rewards", found.even_if, spec.margin)
        known.append(replace(worst, reason=e.unseen.says))
    if e.lateness is not None:
        on_time = _above("lift_lower_with_late_rewards", found.bounds.lower + min(e.lateness.shift, 0.0), spec.margin)
        known.append(replace(on_time, reason=e.lateness.says))
    second = _at_least("second_estimator_upper", clt(e.second, alpha=spec.alpha).upper, spec.margin)
    second = replace(second, reason=e.says.get(second.name, ""))
    return (*known, *_planned(e), second, *_guardrails(e, spec, alpha))


def _planned(e: Evidence) -> tuple[Condition, ...]:
    """Whether this is a look that was planned; nothing is asked where looks are not planned."""
    if e.schedule is None:
        return ()
    plan, at = e.schedule, e.schedule.next_look
    if at is None:
        why = f"the last of {plan.looks} planned looks was at {plan.taken[-1]:,} rows; a new plan needs a new candidate"
        return (replace(_at_most("planned_look", plan.rows, plan.taken[-1]), reason=why, passed=False),)
    why = f"look {len(plan.taken) + 1} of a plan of {plan.looks} over {plan.horizon:,} rows"
    return (replace(_at_least("planned_look", plan.rows, at), reason=why),)


def _guardrails(e: Evidence, spec: GateSpec, alpha: float) -> tuple[Condition, ...]:
    """Non-inferiority: each guardrail is shown to lose less than its margin. They share this look's error evenly, since
    any of them can reject; what could not be checked is among them."""
    share = alpha / max(1, len(e.guardrails))
    made = []
    for name, moments in sorted(e.guardrails.items()):
        margin = e.margins.get(name, spec.guardrail_margin)
        lower = _least(e, name, moments, share)
        says = f"to lose less than {margin:.3g} a decision, with error {share:.2g} of the look's {alpha:.2g}"
        says += "; no event of it came in these rows: is it logged?" * (moments.m2 == 0.0)
        made.append(replace(_above(f"{GUARDRAIL}{name}", lower, -margin), reason=says))
    unchecked = [u for u in e.unchecked if u.name.startswith(GUARDRAIL)]
    return (
        *made,
        *(
            Condition(
                name=u.name, value=None, relation=">", threshold=0.0, passed=None, reason=u.reason, blocks=u.blocks
            )
            for u in unchecked
        ),
    )


def _least(e: Evidence, name: str, moments: Moments, alpha: float) -> float:
    """The lower bound of a guardrail's lift. Where none of its events came, a normal limit bounds nothing; but were its
    mean m under either policy, whose weights are at most `heaviest`, then each row would have had one with probability
    m / heaviest on average, and none in n rows with at most exp(−n m / heaviest)."""
    if moments.m2 > 0.0:
        return asymptotic_cs(moments, alpha=alpha).lower
    return -e.widths.get(name, 1.0) * e.heaviest * log(1.0 / alpha) / max(e.rows, 1)


def _harmed(e: Evidence, spec: GateSpec, alpha: float, lift: Bounds) -> bool:
    missed = 0.0 if e.lateness is None else max(e.lateness.shift, 0.0)  # of a candidate whose rewards come late
    worse = not e.identical and lift.upper + missed < spec.margin
    if e.schedule is not None and not e.schedule.due:
        return False  # between planned looks nothing is decided
    share = alpha / max(1, len(e.guardrails))
    lost = {name: -e.margins.get(name, spec.guardrail_margin) for name in e.guardrails}
    return worse or any(asymptotic_cs(m, alpha=share).upper < lost[name] for name, m in e.guardrails.items())


def _rows_needed(e: Evidence, spec: GateSpec, alpha: float, *, undecided: bool, blocked: bool) -> int | None:
    """The most any condition asks for; ESS grows with rows. None where more rows of this log cannot help."""
    if blocked or not undecided:
        return None if blocked else 0
    if e.unsupported > SUPPORT_TOLERANCE or e.self_test < SELF_TEST_LEVEL or e.leak < LEAK_LEVEL:
        return None
    if e.agreement < AGREEMENT_LEVEL or e.identical:
        return None
    if e.schedule is not None:
        return None if e.schedule.next_look is None else max(1, e.schedule.next_look - e.rows)
    seen = e.informative
    grow = [(size, spec.min_ess) for size in (e.ess, seen.champion_ess, seen.difference_ess)]
    if min(size for size, _ in grow) <= 0 or not e.quality_passed:
        return None
    grow.append((max(seen.events, 1.0), spec.min_events))  # the first of them may be the next
    total = max(_seen(e, spec.margin, alpha), spec.min_rows, *(e.rows * n / size for size, n in grow))
    share = alpha / max(1, len(e.guardrails))
    for name, moments in e.guardrails.items():
        total = max(total, rows_until(moments, -e.margins.get(name, spec.guardrail_margin), alpha=share))
    return max(1, ceil(total - e.rows)) if isfinite(total) and total < inf else None


def _seen(e: Evidence, margin: float, alpha: float) -> float:
    """Rows in all at which the estimated lift would be told from the margin, better or worse: those of `gate plan`."""
    gap = abs(e.lift.mean - margin)
    if e.lift.mean <= margin or gap < 1e-12:  # bets see gains alone
        return rows_until(e.lift, margin, alpha=alpha)
    told = rows_for(ALWAYS, Known.of(e.lift, e.skew, e.bets, alpha=alpha), gap)
    if e.bets is None or told > e.rows:
        return told
    # bets that should have told by now went worse than their estimates: the mean by DR does not depend on that
    return rows_for(ALWAYS, Known.of(e.lift, e.skew, None, alpha=(1.0 - BET) * alpha), gap)


def _above(name: str, value: float, threshold: float) -> Condition:
    return Condition(name=name, value=value, relation=">", threshold=threshold, passed=value > threshold)


def _at_least(name: str, value: float, threshold: float) -> Condition:
    return Condition(name=name, value=value, relation=">=", threshold=threshold, passed=value >= threshold)


def _at_most(name: str, value: float, threshold: float) -> Condition:
    return Condition(name=name, value=value, relation="<=", threshold=threshold, passed=value <= threshold)
