"""After 100 %: the promoted release stays watched against units that were kept back from it.

    100% ─▶ watch 1% ─▶ none       the time of the watch is up, or another release comes: everybody has the promoted one
                └─────▶ returned   shown to be worse than what was kept back: its predecessor is released again

The promoted policy is the release's champion; in the candidate's place stands what was kept back, the predecessor or
uniform. A unit is kept back iff hash(salt, unit) < share, with a salt of the release's own, so that no unit is kept
back from every release. Its decisions are logged under the role "holdout". Evidence: serving/evidence/hold_out.py.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from croupier.features.schema import NO_STAGE, RETURNED, WATCH
from croupier.features.spec import RolloutSpec
from croupier.features.utc import DAY
from croupier.serving.release import rollout_state
from croupier.serving.release.rollout_state import RolloutState
from croupier.serving.release.stage_rule import BY, RolloutEvidence

PREDECESSOR = "predecessor"  # what is kept back: the champion that was succeeded, or else uniform
META = "holdout"  # entry of a release's meta: {"share", "policy", "of": the release it was promoted from}


def meta_of(spec: RolloutSpec, *, of: int) -> dict[str, Any]:
    """What the manifest of a promoted release says of its hold-out; {} where nothing is kept back."""
    share = round(spec.holdout, 6)  # as exact as the label that is logged
    return {META: {"share": share, "policy": spec.holdout_policy, "of": of}} if share > 0 else {}


def start(release: int, declared: Mapping[str, Any], *, now: int, by: str) -> RolloutState:
    """The first state of a promoted release, from its manifest's entry."""
    share = float(declared["share"])
    stage = f"{WATCH} {rollout_state.label(share)}"
    blank = RolloutState(
        release=release,
        stage=stage,
        share=share,
        salt=f"holdout-{release}",
        since=now,
        stages=(share,),
        kept=str(declared["policy"]),
    )
    reason = f"release {release} promoted; {declared['policy']} for {share:.4g} of units"
    return rollout_state.settle(blank, stage, share, reason, now=now, by=by)


def until(state: RolloutState, spec: RolloutSpec) -> int:
    """When the watch ends (UTC µs)."""
    return int(state.history[0]["at"]) + int(spec.watch_days * DAY)


def next_state(state: RolloutState, evidence: RolloutEvidence, spec: RolloutSpec, *, now: int) -> RolloutState:
    """The state of a watch after this look; the same object when nothing changes. `now` is UTC µs."""
    if not state.watched:
        return state
    facts: dict[str, Any] = {"now": now, "by": BY, "evidence": evidence.numbers}
    if evidence.harms:
        share = 1.0 if state.kept == PREDECESSOR else 0.0  # at once, before it is a release of its own
        return rollout_state.settle(state, RETURNED, share, f"harm shown: {', '.join(evidence.harms)}", **facts)
    if spec.holdout == 0:
        return rollout_state.settle(state, NO_STAGE, 0.0, "the hold-out is switched off", **facts)
    if now >= until(state, spec):
        reason = f"watched for {spec.watch_days:g} days: not shown to be worse than its hold-out"
        return rollout_state.settle(state, NO_STAGE, 0.0, reason, **facts)
    return _held_or_free(state, evidence, facts)


def _held_or_free(state: RolloutState, evidence: RolloutEvidence, facts: dict[str, Any]) -> RolloutState:
    if evidence.problems:
        new = rollout_state.hold(replace(state, held=""), "; ".join(evidence.problems), **facts)
        return state if new.held == state.held else new
    return rollout_state.resume(state, **facts) if state.held else state
