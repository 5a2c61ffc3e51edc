"""Rollouts on days that have hours, under the controller's own rule: a look each hour, until all are decided."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from croupier.features.batch import F64, I64, Bool
from croupier.features.schema import CANDIDATE, CHAMPION
from croupier.features.spec import RolloutSpec
from croupier.features.utc import HOUR, SECOND
from croupier.serving.release import rollout_state
from croupier.serving.release.rollout_state import RolloutState
from croupier.serving.release.stage_rule import RolloutEvidence, next_stage, stage_margin
from croupier.serving.simulation.season.evidence import KnownRuns
from croupier.serving.simulation.season.world import HOURS, DayWorld

DAYS = 14


@dataclass(frozen=True, kw_only=True, eq=False)
class DayOutcome:
    """What became of each rollout (R,): the hour at which it was aborted for harm, reached 100 % or was first held
    (0: it was not), which role's rewards were named as late, and the decisions that the candidate got."""

    per_hour: int
    aborted: I64
    reached: I64
    held: I64
    named: NDArray[np.str_]
    exposed: F64

    def to_dict(self) -> dict[str, Any]:
        """Shares of the runs as JSON, and medians in hours."""
        by40 = (self.aborted > 0) & (self.aborted * self.per_hour <= 40_000)
        held40 = (self.held > 0) & (self.held * self.per_hour <= 40_000)
        return {
            "runs": len(self.aborted),
            "aborted": _share(self.aborted > 0),
            "aborted_by_40000": _share(by40),
            "aborted_or_held_by_40000": _share(by40 | held40),
            "reached_100": _share(self.reached > 0),
            "reached_hours": _median(self.reached),
            "aborted_hours": _median(self.aborted),
            "held": _share(self.held > 0),
            "late": {name: _share(self.named == name) for name in (CANDIDATE, CHAMPION)},
            "candidate_decisions": float(self.exposed.mean()),
        }


def _share(which: Bool) -> float:
    return float(np.mean(which))


def _median(hours: I64) -> float | None:
    return float(np.median(hours[hours > 0])) if (hours > 0).any() else None


def simulate(
    world: DayWorld,
    spec: RolloutSpec,
    *,
    runs: int,
    days: int = DAYS,
    seed: int = 0,
    before: bool = False,
    progress: Callable[[int], object] = int,
) -> DayOutcome:
    """Rollouts that begin at any hour of the day. `before`: by the rule as it was before there were seasons."""
    rng = np.random.default_rng([seed, runs, world.per_day])
    spec = spec.model_copy(update={"season": "none"} if before else {})
    states = [rollout_state.start(1, now=0, stages=spec.stages) for _ in range(runs)]
    known, clock = KnownRuns(runs, spec, before=before), rng.integers(HOURS, size=runs)
    entered, aborted, reached, held = (np.zeros(runs, np.int64) for _ in range(4))
    named, exposed = np.full(runs, "", dtype="<U16"), np.zeros(runs)
    at = _Stages(states, spec)
    for now in range(1, HOURS * days + 1):
        rows = np.flatnonzero(at.running)
        progress(1)
        if not len(rows):
            continue
        hour = world.hour((clock[rows] + now) % HOURS, now - 1, at.share[rows], rng)
        exposed[rows] += hour.count[:, :2].sum(axis=1)
        known.add(hour, (now - 1) % HOURS, at.share[rows], rows)
        facts = _Facts(known, at, entered, now, world.per_hour)
        for i in rows[facts.telling(rows)]:
            fact = facts.of(i)
            new = next_stage(states[i], fact, spec, now=now * HOUR)
            entered[i] = now if new.share != states[i].share else entered[i]
            states[i] = new
            at.moved(i, new)
            aborted[i], reached[i] = now * bool(fact.harms), now * (new.share == 1.0)
            held[i] = held[i] or now * bool(new.held)
            named[i] = named[i] or (fact.problems or ("",))[0]
    return DayOutcome(
        per_hour=world.per_hour, aborted=aborted, reached=reached, held=held, named=named, exposed=exposed
    )


class _Stages:
    """Where R rollouts stand, as arrays."""

    def __init__(self, states: list[RolloutState], spec: RolloutSpec) -> None:
        self.spec, runs = spec, len(states)
        self.share, self.margin = np.zeros(runs), np.zeros(runs)
        self.running, self.held = np.ones(runs, np.bool_), np.full(runs, "", dtype="<U64")
        for i, state in enumerate(states):
            self.moved(i, state)

    def moved(self, i: int, state: RolloutState) -> None:
        """Rollout i is in this state now."""
        self.share[i], self.margin[i] = state.share, stage_margin(state, self.spec)
        self.running[i], self.held[i] = state.running, state.held


class _Facts:
    """What each rollout knows at this hour."""

    def __init__(self, known: KnownRuns, at: _Stages, entered: I64, now: int, per_hour: int) -> None:
        self.uneven = known.uneven()
        self.harm, self.suspected = known.harmful(self.uneven), known.suspected()
        self.safe, self.latest = known.safe(at.margin), known.latest(at.margin)
        (n1, n0), (k1, k0) = known.late
        self.which = np.where(k1 * n0 >= k0 * n1, CANDIDATE, CHAMPION)
        self.whole = (now - entered) // HOURS
        self.decisions = (now - entered if known.before else self.whole * HOURS) * per_hour
        self._ends, self._held = known.before or now % HOURS == 0, at.held
        self._last = now * HOUR >= known.spec.max_seconds * SECOND

    def telling(self, rows: I64) -> Bool:
        """False for rollouts whose rule has nothing new to say: nothing is shown, or what holds them is the same."""
        same = (self._held == self.which) & self.uneven & ~self.harm
        quiet = ~(self.harm | self.uneven | self.suspected | (self._held != "") | (self.safe & self._ends))
        return np.asarray(~(same | quiet)[rows]) | self._last

    def of(self, i: int) -> RolloutEvidence:
        """What one rollout knows."""
        return RolloutEvidence(
            decisions=int(self.decisions[i]),
            safe=bool(self.safe[i]),
            seasons=int(self.whole[i]),
            latest=bool(self.latest[i]),
            harms=("reward",) if self.harm[i] else (),
            problems=(str(self.which[i]),) if self.uneven[i] else (),
            suspected=("reward",) if self.suspected[i] else (),
        )
