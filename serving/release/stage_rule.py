"""The rule that moves a rollout: evidence in, next state out, nothing else read or written.

    harm shown ............................................. abort, at once
    counts off, audit failed, rewards late, data stale ..... hold, and say why
    minimum reached, shown within the stage's margin ....... next stage (the last margin is 0: shown to be better)
    time is up ............................................. back to the champion
    harm suspected in the first season, which is not over .. hold, and say so
    anything else .......................................... wait

Where a season is declared the minimum is one whole season of the stage (of the last step, to "better": two), and the
last step asks that the latest one alone agrees: a candidate may be liked because it is new.
No data never promotes: what is not shown is not assumed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from croupier.features.clock import elapsed
from croupier.features.schema import NO_STAGE, SHADOW
from croupier.features.spec import RolloutSpec
from croupier.features.spec_values import NO_SEASON
from croupier.features.utc import SECOND
from croupier.serving.release import rollout_state
from croupier.serving.release.rollout_state import RolloutState

BY = "watch"


@dataclass(frozen=True, kw_only=True)
class RolloutEvidence:
    """What matured decisions say (serving/evidence/gather.py).

    `harms` are what was shown to be worse, `problems` why the numbers cannot be trusted now; `safe`: shown to lose less
    than the present stage's margin; `decisions` matured in this stage, both roles; `numbers` for the history. Where a
    season is declared: `seasons` that were whole in this stage, whether the `latest` one alone agrees, and what is
    `suspected` before the first one is over.
    """

    decisions: int = 0
    safe: bool = False
    seasons: int = 0
    latest: bool = True
    suspected: tuple[str, ...] = ()
    harms: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    numbers: Mapping[str, Any] = field(default_factory=dict)


def next_stage(
    state: RolloutState, evidence: RolloutEvidence, spec: RolloutSpec, *, now: int, approved: bool = False
) -> RolloutState:
    """The state after this look; the same object when nothing changes. `now` is UTC µs."""
    if not state.running or state.stage == NO_STAGE:
        return state
    facts: dict[str, Any] = {"now": now, "by": BY, "evidence": evidence.numbers}
    free = replace(state, held="")
    new = _judge(free, evidence, spec, approved=approved, facts=facts)
    if new is free:
        return rollout_state.resume(state, **facts) if state.held else state
    return state if new.held and new.held == state.held else new


def _judge(
    state: RolloutState, evidence: RolloutEvidence, spec: RolloutSpec, *, approved: bool, facts: dict[str, Any]
) -> RolloutState:
    now = facts["now"]
    if evidence.harms:
        return rollout_state.abort(state, f"harm shown: {', '.join(evidence.harms)}", **facts)
    expired = elapsed(state.history[0]["at"], now=now) / SECOND >= spec.max_seconds
    if evidence.problems and expired:
        why = f"held too long, {spec.max_seconds:.0f} s: {'; '.join(evidence.problems)}"
        return rollout_state.abort(state, why, **facts)
    if evidence.problems:
        return rollout_state.hold(state, "; ".join(evidence.problems), **facts)
    if _long_enough(state, evidence, spec, now) and (state.stage == SHADOW or _safe(state, evidence)):
        if is_last(state) and spec.approval and not approved:
            return rollout_state.hold(state, AWAITING, **facts)
        return rollout_state.advance(state, f"{_shown(state, spec)}, {evidence.decisions} decisions here", **facts)
    if expired:
        return rollout_state.abort(state, f"inconclusive after {spec.max_seconds:.0f} s", **facts)
    if evidence.suspected:
        return rollout_state.hold(state, f"harm suspected, season not over: {', '.join(evidence.suspected)}", **facts)
    return state


def _long_enough(state: RolloutState, evidence: RolloutEvidence, spec: RolloutSpec, now: int) -> bool:
    whole = evidence.seasons >= seasons_needed(state, spec)
    return whole and evidence.decisions >= spec.min_decisions and (now - state.since) / SECOND >= spec.min_seconds


def _safe(state: RolloutState, evidence: RolloutEvidence) -> bool:
    return evidence.safe and (evidence.latest or not is_last(state))


def _shown(state: RolloutState, spec: RolloutSpec) -> str:
    margin = stage_margin(state, spec)
    if state.stage == SHADOW:
        return "scored without failure"
    return f"shown to lose less than {margin:.0%}" if margin else "shown to be better"


AWAITING = "waiting for a person's approval"


def is_last(state: RolloutState) -> bool:
    """True if the next step is the one to everybody."""
    return [share for share in state.stages if share > state.share] == [1.0]


def seasons_needed(state: RolloutState, spec: RolloutSpec) -> int:
    """Returns how many whole seasons the present stage lasts at least."""
    if spec.season == NO_SEASON or state.stage == SHADOW:
        return 0
    return 2 if is_last(state) and stage_margin(state, spec) == 0 else 1


def least_seconds(spec: RolloutSpec) -> float:
    """How long the quickest rollout takes: each stage a whole season, the last one two where it must be better."""
    stage = rollout_state.start(1, now=0, stages=spec.stages)
    seasons = 0
    while stage.share < 1.0:
        seasons += seasons_needed(stage, spec)
        stage = rollout_state.advance(stage, "", now=0, by=BY)
    return max(seasons * spec.season_seconds, spec.min_seconds * (len(spec.stages) - 1))


def stage_margin(state: RolloutState, spec: RolloutSpec) -> float:
    """Returns the margin of the present stage, as a share of the champion's reward."""
    passed = sum(share <= state.share for share in state.stages) - 1
    return spec.margins[min(max(passed, 0), len(spec.margins) - 1)] if spec.margins else 0.0
