"""The rule that moves a rollout: evidence in, next state out, nothing else read or written.

    harm shown ............................................. abort, at once
    counts off, audit failed, data missing or stale ........ hold, and say why
    minimum reached, shown within the stage's margin ....... next stage (the last margin is 0: shown to be better)
    time is up ............................................. back to the champion
    anything else .......................................... wait

No data never promotes: what is not shown is not assumed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from croupier.features.schema import NO_STAGE, SHADOW
from croupier.features.spec import RolloutSpec
from croupier.features.utc import SECOND
from croupier.serving.release import rollout_state
from croupier.serving.release.rollout_state import RolloutState

BY = "watch"


@dataclass(frozen=True, kw_only=True)
class RolloutEvidence:
    """What matured decisions say (serving/evidence/gather.py).

    `harms` are what was shown to be worse, `problems` why the numbers cannot be trusted now; `safe`: shown to lose less
    than the present stage's margin; `decisions` matured in this stage, both roles; `numbers` for the history.
    """

    decisions: int = 0
    safe: bool = False
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
    expired = (now - state.history[0]["at"]) / SECOND >= spec.max_seconds
    if evidence.problems and expired:
        why = f"held too long, {spec.max_seconds:.0f} s: {'; '.join(evidence.problems)}"
        return rollout_state.abort(state, why, **facts)
    if evidence.problems:
        return rollout_state.hold(state, "; ".join(evidence.problems), **facts)
    long_enough = evidence.decisions >= spec.min_decisions and (now - state.since) / SECOND >= spec.min_seconds
    if long_enough and (evidence.safe or state.stage == SHADOW):
        if is_last(state) and spec.approval and not approved:
            return rollout_state.hold(state, AWAITING, **facts)
        return rollout_state.advance(state, f"{_shown(state, spec)}, {evidence.decisions} decisions here", **facts)
    if expired:
        return rollout_state.abort(state, f"inconclusive after {spec.max_seconds:.0f} s", **facts)
    return state


def _shown(state: RolloutState, spec: RolloutSpec) -> str:
    margin = stage_margin(state, spec)
    if state.stage == SHADOW:
        return "scored without failure"
    return f"shown to lose less than {margin:.0%}" if margin else "shown to be better"


AWAITING = "waiting for a person's approval"


def is_last(state: RolloutState) -> bool:
    """True if the next step is the one to everybody."""
    return [share for share in state.stages if share > state.share] == [1.0]


def stage_margin(state: RolloutState, spec: RolloutSpec) -> float:
    """Returns the margin of the present stage, as a share of the champion's reward."""
    passed = sum(share <= state.share for share in state.stages) - 1
    return spec.margins[min(max(passed, 0), len(spec.margins) - 1)] if spec.margins else 0.0
