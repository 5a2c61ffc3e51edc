"""Learning at once: a head's state is a fold over the host's log, kept up to date in a memory-mapped file.

    state₀ = the release's own head;   stateᵢ = state after the i-th step (learning_steps.py) of its scope

The scope (learning_scope.py) is what was decided since the policy's training ended, or else by this release.

The first step of an event adds φφᵀ and rφ to (A, b). A further one changes what the event comes to, r → r′:
(r′ − r)φ is added, so an event counts once. After a crash the fold goes on from the file's position, or, if the file
was torn, from the release: the same rows in the same order give the same floats. `posterior_step` counts the steps.

Where only clicks are sent, an event whose reward window closes without a reward comes to the default then.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np

from croupier.features.batch import F64
from croupier.features.clock import now_us
from croupier.features.log import closings
from croupier.features.log.spool import Spool
from croupier.features.reward import window_us
from croupier.features.schema import CANDIDATE, CHAMPION
from croupier.features.spec import RewardSpec
from croupier.features.store import layout
from croupier.models.bayesian.base import Bayesian
from croupier.models.bayesian.posterior import Posterior, RidgeMoments
from croupier.models.policy import Policy
from croupier.serving.learning import continued_heads
from croupier.serving.learning.head_file import HeadFile, State
from croupier.serving.learning.learning_scope import Scope, known
from croupier.serving.learning.learning_steps import Position, Step, steps
from croupier.serving.learning.live_heads import learns
from croupier.serving.release.bundle import LoadedRelease


@dataclass(frozen=True, kw_only=True)
class LearntHead:
    """One head that learns: where its fold began, `base`, the head as released, and where it stands. `half_life` in
    rows; 0: it never forgets."""

    role: str
    release: int
    digest: str
    base: Posterior
    state: State
    half_life: float = 0.0


class Fold:
    """One policy's head, and how a step changes it. `spool` is the id of the log that it learns from."""

    def __init__(self, policy: Bayesian, release: LoadedRelease, role: str, spool: str) -> None:
        self.policy, self.scope, self._release = policy, Scope.of(release, role), release
        head, place = policy.head, self.scope.start(spool)
        self.state = State(head.moments, head.step, place.cursor, place.closing)
        half_life = policy.parameters["half_life"]
        self._keep = 0.5 ** (1.0 / half_life) if half_life else 1.0

    def learnt(self, role: str) -> LearntHead:
        """The head as it stands."""
        return LearntHead(
            role=role,
            release=self._release.number,
            digest=self._release.manifest["digest"],
            base=self.policy.head,
            state=self.state,
            half_life=self.policy.parameters["half_life"],
        )

    def new(self, chunk: Sequence[Step]) -> list[Step]:
        """The steps that are this head's to learn, and after its place in the log."""
        place = _position(self.state)
        later = (step for step in chunk if (step.cursor, step.closing) > place)
        return [s for s in later if self.scope.holds(s.decision) and known(s.decision, self._release)]

    def apply(self, chunk: Sequence[Step]) -> None:
        """Applies the steps in order, one at a time: the result does not depend on how the steps were chunked."""
        for step, phi in zip(chunk, self._phi(chunk), strict=True):
            self.state = self._next(step, phi)

    def go_on(self, before: State, missed: Sequence[Step]) -> None:
        """Begin where the head of the release before stands, with the steps up to there that it did not take."""
        self.state = before
        if missed:
            self.apply(missed)
            self.state = replace(self.state, cursor=before.cursor, closing=before.closing)

    def _phi(self, chunk: Sequence[Step]) -> F64:
        """Returns (n, d): φ of what was shown, each encoded alone so that its floats depend on no neighbour."""
        rows = []
        for step in chunk:
            d = step.decision
            asked = [d.context], [d.arms], [d.arm_context], self._release.catalogue, [d.arm_features]
            batch = self._release.encoder.encode(*asked)
            rows.append(self.policy.features(batch, np.array([d.arms.index(d.arm)]))[0])
        return np.array(rows)

    def _next(self, step: Step, phi: F64) -> State:
        m, weight = self.state.moments, 1.0 / step.decision.pass_probability
        now = float(self.policy.standardise(np.array(step.now)))
        if step.before is None:
            past = m if self._keep == 1.0 else m * self._keep
            m = past + RidgeMoments.of(phi[None], np.array([now]), np.array([weight]))
        else:
            before = float(self.policy.standardise(np.array(step.before)))
            rr = m.rr + weight * (now**2 - before**2)
            m = replace(m, b=m.b + weight * (now - before) * phi, rr=rr)
        return State(m, self.state.step + 1, step.cursor, step.closing)


class FastLoop:
    """The writer: one a host. `learn()` brings the files of a release's heads up to the log."""

    def __init__(self, folder: Path, release: LoadedRelease, spool: Spool, spec: RewardSpec) -> None:
        self._spool, self._spec, self._turn = spool, spec, threading.Lock()
        self._folds: list[tuple[Fold, HeadFile]] = []
        self._roles: list[str] = []
        for role, policy in ((CHAMPION, release.champion), (CANDIDATE, release.candidate)):
            if learns(policy):
                fold = Fold(policy, release, role, spool.id)
                digest, d = release.manifest["digest"], len(policy.head.moments.b)
                file = HeadFile.create(layout.head(folder, release.number, role), d=d, digest=digest)
                if (found := file.read()) is not None:
                    fold.state = found
                elif before := continued_heads.begin(folder, release, role, spool, d=d):
                    fold.go_on(before, continued_heads.missed(release, fold.scope, spool, spec, before))
                    file.write(fold.state)  # else: new or torn, from the release, over the whole log
                self._folds.append((fold, file))
                self._roles.append(role)
        self._seen = min((_position(fold.state) for fold, _ in self._folds), default=Position())
        if self._folds:
            closings.index_times(spool)

    def close_windows(self, now: int | None = None) -> int:
        """Puts on record which windows are over at `now` (UTC µs), and learns. Returns how many steps were new."""
        count, before = 0, (now_us() if now is None else now) - window_us(self._spec)
        while self._folds and closings.close_windows(self._spool, before):
            count += self.learn()
        return count

    def learn(self) -> int:
        """Returns how many steps were new. Visible to readers when it returns."""
        if not self._folds:
            return 0
        with self._turn:
            return self._learn()

    def _learn(self) -> int:
        count = 0
        scopes = [fold.scope for fold, _ in self._folds]
        for reached, chunk in steps(self._spool, scopes, self._spec, after=self._seen):
            for fold, file in self._folds:
                if fresh := fold.new(chunk):
                    fold.apply(fresh)
                    file.write(fold.state)
            count += len(chunk)
            self._seen = reached
        return count

    def positions(self) -> list[tuple[str, int]]:
        """Returns (role, step) of each head that learns."""
        return [(role, fold.state.step) for role, (fold, _) in zip(self._roles, self._folds, strict=True)]

    def heads(self) -> list[LearntHead]:
        """The heads that learn, as they stand; in any thread."""
        return [fold.learnt(role) for role, (fold, _) in zip(self._roles, self._folds, strict=True)]


def _position(state: State) -> Position:
    return Position(state.cursor, state.closing)


def rebuilt(release: LoadedRelease, role: str, spool: Spool, spec: RewardSpec, *, until_step: int) -> Policy:
    """The policy as it was when its head had `until_step` steps: from the release and the log alone. Raises ValueError
    when the log does not reach that far (its rewards were pruned)."""
    policy = release.candidate if role == CANDIDATE else release.champion
    if not learns(policy):
        return policy or _missing(release, role)
    if policy.head.step == until_step:
        return cast("Policy", policy)
    fold = Fold(policy, release, role, spool.id)
    for _, chunk in steps(spool, [fold.scope], spec, after=_position(fold.state)):
        fold.apply(fold.new(chunk)[: until_step - fold.state.step])
        if fold.state.step == until_step:
            head = Posterior(prior=policy.head.prior, moments=fold.state.moments, step=until_step)
            return cast("Policy", policy.with_head(head))
    raise ValueError(
        f"posterior: the log gives {fold.state.step} steps, the decision was made at {until_step}; "
        "rewards older than the spool's retention are gone"
    )


def _missing(release: LoadedRelease, role: str) -> Policy:
    raise ValueError(f"release {release.number} has no {role}")
