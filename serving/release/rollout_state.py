"""The rollout's state and its moves (a step, a hold, an abort): pure functions of the state before. Which move is made,
and when a stage advances, is the rule of stage_rule.py.

    shadow ─▶ 5% ─▶ 20% ─▶ 50% ─▶ 100%        held: stays where it is, with an alarm
       └───────┴──────┴──────┴─▶ aborted       share 0, for good

A unit belongs to the candidate iff hash(salt, unit) < share: sticky, monotone in the share, the same on every host.
What follows 100 %, the watch of the promoted release against units that were kept back, is in hold_out.py.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

from croupier.features.ids import uniform01
from croupier.features.schema import ABORTED, NO_STAGE, RETURNED, SHADOW, WATCH


class RolloutRefused(ValueError):
    """The change asked for is not possible from the present state: says which is, and what to do."""


@dataclass(frozen=True, kw_only=True)
class RolloutState:
    """Where release `release` stands. `share` of units see the candidate; `since` is UTC µs; `stages` are the shares
    to come. `held` says why no step is taken ("" = it is not held). `history` has one entry per change, oldest
    first: {at, stage, share, reason, evidence, by}. `continues` are earlier releases of the same policies, whose
    decisions are evidence of this rollout too. `kept`, of a watched release: what `share` of units were kept back
    with, "predecessor" or "uniform"."""

    release: int
    stage: str
    share: float
    salt: str
    since: int
    stages: tuple[float, ...] = (0.05, 0.20, 0.50, 1.0)
    held: str = ""
    history: tuple[Mapping[str, Any], ...] = ()
    continues: tuple[int, ...] = ()
    kept: str = ""

    def to_json(self) -> bytes:
        """Returns the state as JSON, without `kept` where nothing is kept back, as states were before there was a
        hold-out."""
        row = {name: value for name, value in asdict(self).items() if name != "kept" or value}
        return json.dumps(row, sort_keys=True, indent=1).encode()

    @classmethod
    def from_json(cls, raw: bytes) -> Self:
        """Raises ValueError for what is no state."""
        try:
            row = json.loads(raw)
            row["stages"], row["history"] = tuple(row["stages"]), tuple(row["history"])
            row["continues"] = tuple(row.get("continues", ()))
            state = cls(**row)
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            expected = f"what `publish` wrote ({type(error).__name__}: {error})"
            raise ValueError(f"rollout state: found {raw[:60]!r}, expected {expected}") from None
        if type(state.share) not in (int, float) or not 0.0 <= state.share <= 1.0:
            raise ValueError(f"rollout share: found {state.share!r}, expected a number in [0, 1]")
        if (type(state.release), type(state.stage), type(state.salt)) != (int, str, str):
            found = f"release {state.release!r}, stage {state.stage!r}, salt {state.salt!r}"
            raise ValueError(f"rollout state: found {found}, expected a number and two texts")
        return state

    @property
    def releases(self) -> tuple[int, ...]:
        """Every release whose decisions belong to this rollout."""
        return (*self.continues, self.release)

    @property
    def running(self) -> bool:
        """True if the rollout may still move."""
        return self.stage not in {ABORTED, RETURNED} and self.share < 1.0

    @property
    def watched(self) -> bool:
        """True while a promoted release is watched against the units that were kept back."""
        return self.stage.startswith(WATCH)


def label(share: float) -> str:
    """Returns the name of the stage with this share."""
    return SHADOW if share == 0 else f"{share:.4%}".rstrip("0%").rstrip(".") + "%" if share < 1 else "100%"


def start(
    release: int,
    *,
    now: int,
    stages: Sequence[float] = (0.05, 0.20, 0.50, 1.0),
    shadow: bool = False,
    has_candidate: bool = True,
    by: str = "publish",
) -> RolloutState:
    """The first state of a release: at its first stage, or in shadow; without a candidate, at share 0 for good."""
    if list(stages) != sorted(set(stages)) or not stages or stages[0] <= 0 or stages[-1] != 1.0:
        raise ValueError(f"rollout stages: found {tuple(stages)}, expected rising shares in (0, 1] that end with 1.0")
    share = 0.0 if shadow or not has_candidate else float(stages[0])
    stage = label(share) if has_candidate else NO_STAGE
    blank = RolloutState(
        release=release, stage=stage, share=share, salt=f"rollout-{release}", since=now, stages=tuple(stages)
    )
    return _moved(blank, (stage, share), f"release {release} published", now=now, by=by)


def carried(state: RolloutState, release: int, reason: str, *, now: int, by: str) -> RolloutState:
    """Returns the rollout under another number: release `release` has the same policies and another catalogue."""
    entry = {"at": now, "stage": state.stage, "share": state.share, "reason": reason, "by": by, "evidence": {}}
    return replace(state, release=release, continues=state.releases, history=(*state.history, entry))


def advance(
    state: RolloutState, reason: str, *, now: int, by: str, evidence: Mapping[str, Any] | None = None
) -> RolloutState:
    """The next stage. Raises RolloutRefused where there is none."""
    _refuse_watched(state)
    if state.stage in (ABORTED, NO_STAGE):
        raise RolloutRefused(f"release {state.release} is {state.stage}: publish a new release to expose a candidate")
    later = [share for share in state.stages if share > state.share]
    if not later:
        raise RolloutRefused(f"release {state.release} is at 100% already: promote its candidate")
    return _moved(state, (label(later[0]), later[0]), reason, now=now, by=by, evidence=evidence)


def abort(
    state: RolloutState, reason: str, *, now: int, by: str, evidence: Mapping[str, Any] | None = None
) -> RolloutState:
    """Goes back to the champion, for good. Aborting an aborted rollout changes nothing."""
    _refuse_watched(state)
    if state.stage == ABORTED:
        return state
    return _moved(state, (ABORTED, 0.0), reason, now=now, by=by, evidence=evidence)


def _refuse_watched(state: RolloutState) -> None:
    if state.watched or state.stage == RETURNED:
        raise RolloutRefused(
            f"release {state.release} was promoted ({state.stage}): it has no candidate to move; "
            "`croupier rollout rollback N` serves the champion of an earlier release N again"
        )


def settle(
    state: RolloutState,
    stage: str,
    share: float,
    reason: str,
    *,
    now: int,
    by: str,
    evidence: Mapping[str, Any] | None = None,
) -> RolloutState:
    """Stays at this stage and share for good: how a watch ends."""
    return _moved(state, (stage, share), reason, now=now, by=by, evidence=evidence)


def hold(
    state: RolloutState, reason: str, *, now: int, by: str, evidence: Mapping[str, Any] | None = None
) -> RolloutState:
    """Stay at this share and say why. The same reason again changes nothing."""
    if state.held == reason:
        return state
    held = _moved(state, (state.stage, state.share), f"held: {reason}", now=now, by=by, evidence=evidence)
    return replace(held, held=reason, since=state.since)


def resume(state: RolloutState, *, now: int, by: str, evidence: Mapping[str, Any] | None = None) -> RolloutState:
    """Lets a held rollout go on. The clock of the stage runs on."""
    to, since = (state.stage, state.share), state.since
    return replace(_moved(state, to, f"over: {state.held}", now=now, by=by, evidence=evidence), since=since)


def _moved(
    state: RolloutState,
    to: tuple[str, float],
    reason: str,
    *,
    now: int,
    by: str,
    evidence: Mapping[str, Any] | None = None,
) -> RolloutState:
    stage, share = to
    entry = {"at": now, "stage": stage, "share": share, "reason": reason, "by": by, "evidence": dict(evidence or {})}
    return replace(state, stage=stage, share=share, since=now, held="", history=(*state.history, entry))


def in_candidate(salt: str, unit_hash: str, share: float) -> bool:
    """True if the unit belongs to the candidate: always at a share of 1, never at 0, and never True then False as it
    rises."""
    return uniform01(salt, unit_hash) < share
