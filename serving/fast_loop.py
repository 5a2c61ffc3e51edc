"""Learning at once: a head's state is a fold over the host's log of rewards, kept up to date in a memory-mapped file.

    state₀ = the release's own head;   stateᵢ = state after the i-th reward of a decision of this release

The first reward of an event adds φφᵀ and rφ to (A, b). A further one changes what the event's rewards come to, r → r′:
(r′ − r)φ is added, so an event counts once. After a crash the fold goes on from the file's cursor, or, if the file
was torn, from the release: the same rows in the same order give the same floats. `posterior_step` counts the folds.

For apps whose every decision gets a reward, zeros included (`policies.fast_loop` in app.toml): where only clicks are
sent, what was not clicked would never be learnt.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np
import orjson

from features.batch import F64
from features.schema import Decision, Reward
from features.spec import KindSpec, RewardSpec
from features.spool import Spool
from models.bayesian import Bayesian
from models.policy import Policy
from models.posterior import Moments, Posterior
from serving.head_file import HeadFile, State
from serving.live_heads import learns, path_of
from serving.release import LoadedRelease

CLOCK_SKEW_US = 3_600_000_000  # a reward may be stamped this much before its decision, as in features/join.py



def combined(rewards: Sequence[Reward], decision: Decision, spec: RewardSpec) -> float | None:
    """What an event's rewards come to, as features/reward.py has it; None when none of them counts."""
    window = (decision.at - CLOCK_SKEW_US, decision.at + int(spec.window_seconds * 1e6))
    counted = [r for r in rewards if r.kind in spec.kinds and window[0] <= r.at <= window[1]]
    counted.sort(key=lambda r: (r.at, r.kind, r.value, r.reward_id))
    if not counted:
        return None
    return sum(_part([r.value for r in counted if r.kind == kind], how) for kind, how in spec.kinds.items())


def _part(values: list[float], kind: KindSpec) -> float:
    if not values:
        return 0.0
    one = {"first": values[0], "last": values[-1], "sum": sum(values), "max": max(values)}[kind.how]
    return kind.weight * (one if kind.clip is None else min(max(one, kind.clip[0]), kind.clip[1]))


def learnt(rewards: Sequence[Reward], decision: Decision, spec: RewardSpec) -> float | None:
    """The same within the declared range, beyond which the slow loop does not learn at all: one reward of 1e308 would
    make a head infinite for good. What is no number (∞ − ∞) is the low end."""
    found, (low, high) = combined(rewards, decision, spec), spec.range
    return None if found is None else min(high, max(low, found))


@dataclass(frozen=True)
class Step:
    """One reward that changes a head: what its event came to before (None: nothing), and comes to now."""

    cursor: int
    decision: Decision
    before: float | None
    now: float


def steps(
    spool: Spool, release: LoadedRelease, spec: RewardSpec, *, after: int, limit: int = 1000
) -> Iterator[tuple[int, list[Step]]]:
    """The rewards of a release's decisions, and of those it continues, in order of arrival, from row `after` on: (last
    row seen, steps). A catalogue release learns from what was learnt before it, by the same fold from the same head."""
    numbers, known = {release.number, *release.continues}, release.catalogue.row.keys()
    while rows := spool.read("rewards", after, limit):
        arrived = [(row, Reward(**orjson.loads(body))) for row, body in rows]
        events = list({reward.event_id for _, reward in arrived})
        found = spool.find(events).items()
        decisions = {e: d for e, d in found if d.release in numbers and known >= set(d.arms)}
        history = spool.rewards_of(list(decisions))
        chunk = []
        for row, reward in arrived:
            decision = decisions.get(reward.event_id)
            if decision is not None:
                mine = history[reward.event_id]
                before = learnt([r for i, r in mine if i < row], decision, spec)
                now = learnt([r for i, r in mine if i <= row], decision, spec)
                if now is not None and now != before:
                    chunk.append(Step(row, decision, before, now))
        after = rows[-1][0]
        yield after, chunk


class Fold:
    """One policy's head, and how a step changes it. `encode` is the release's encoder and catalogue."""

    def __init__(self, policy: Bayesian, release: LoadedRelease) -> None:
        self.policy, self._release = policy, release
        head = policy.head
        self.state = State(head.moments, head.step, 0)
        half_life = policy.parameters["half_life"]
        self._keep = 0.5 ** (1.0 / half_life) if half_life else 1.0

    def apply(self, chunk: Sequence[Step]) -> None:
        """In order, one at a time: the result does not depend on how the steps were chunked."""
        for step, phi in zip(chunk, self._phi(chunk), strict=True):
            self.state = self._next(step, phi)

    def _phi(self, chunk: Sequence[Step]) -> F64:
        """(n, d): φ of what was shown, each encoded alone so that its floats depend on no neighbour."""
        rows = []
        for step in chunk:
            d = step.decision
            batch = self._release.encoder.encode([d.context], [d.arms], [d.arm_context], self._release.catalogue)
            rows.append(self.policy.features(batch, np.array([d.arms.index(d.arm)]))[0])
        return np.array(rows)

    def _next(self, step: Step, phi: F64) -> State:
        m, weight = self.state.moments, 1.0 / step.decision.pass_probability
        now = float(self.policy.standardise(np.array(step.now)))
        if step.before is None:
            past = m if self._keep == 1.0 else m * self._keep
            m = past + Moments.of(phi[None], np.array([now]), np.array([weight]))
        else:
            before = float(self.policy.standardise(np.array(step.before)))
            rr = m.rr + weight * (now**2 - before**2)
            m = replace(m, b=m.b + weight * (now - before) * phi, rr=rr)
        return State(m, self.state.step + 1, step.cursor)


class FastLoop:
    """The writer: one a host. `learn()` brings the files of a release's heads up to the log."""

    def __init__(self, folder: Path, release: LoadedRelease, spool: Spool, spec: RewardSpec) -> None:
        self._spool, self._spec, self._release = spool, spec, release
        self._folds: list[tuple[Fold, HeadFile]] = []
        self._roles: list[str] = []
        for role, policy in (("champion", release.champion), ("candidate", release.candidate)):
            if learns(policy):
                fold = Fold(policy, release)
                digest, d = release.manifest["digest"], len(policy.head.moments.b)
                file = HeadFile.create(path_of(folder, release.number, role), d=d, digest=digest)
                fold.state = file.read() or fold.state  # torn or new: from the release, over the whole log
                self._folds.append((fold, file))
                self._roles.append(role)
        self._seen = min((fold.state.cursor for fold, _ in self._folds), default=0)

    def learn(self) -> int:
        """Returns how many steps were new. Visible to readers when it returns."""
        if not self._folds:
            return 0
        count = 0
        for row, chunk in steps(self._spool, self._release, self._spec, after=self._seen):
            for fold, file in self._folds:
                fresh = [step for step in chunk if step.cursor > fold.state.cursor]
                if fresh:
                    fold.apply(fresh)
                    file.write(fold.state)
            count += len(chunk)
            self._seen = row
        return count


    def positions(self) -> list[tuple[str, int]]:
        """(role, step) of each head that learns."""
        return [(role, fold.state.step) for role, (fold, _) in zip(self._roles, self._folds, strict=True)]


def rebuilt(release: LoadedRelease, role: str, spool: Spool, spec: RewardSpec, *, until_step: int) -> Policy:
    """The policy as it was when its head had `until_step` steps: from the release and the log alone. Raises ValueError
    when the log does not reach that far (its rewards were pruned)."""
    policy = release.candidate if role == "candidate" else release.champion
    if not learns(policy):
        return policy or _missing(release, role)
    if policy.head.step == until_step:
        return cast("Policy", policy)
    fold = Fold(policy, release)
    for _, chunk in steps(spool, release, spec, after=0):
        fold.apply(chunk[: until_step - fold.state.step])
        if fold.state.step == until_step:
            head = Posterior(prior=policy.head.prior, moments=fold.state.moments, step=until_step)
            return cast("Policy", policy.with_head(head))
    raise ValueError(f"posterior: the log gives {fold.state.step} steps, the decision was made at {until_step}; "
                     "rewards older than the spool's retention are gone")  # fmt: skip


def _missing(release: LoadedRelease, role: str) -> Policy:
    raise ValueError(f"release {release.number} has no {role}")

