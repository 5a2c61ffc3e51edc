"""A role's pmf for its rows, whatever its policy does: raise, give what is no pmf, hang.

candidate fails ─▶ the champion's pmf, and the breaker counts     champion fails ─▶ uniform
who is explored toward fails ─▶ the champion's pmf with all of ε spread uniformly, and the breaker counts
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

import numpy as np

from croupier.features.batch import F64, Batch
from croupier.features.schema import APPRENTICE, CANDIDATE, CHAMPION, FALLBACK
from croupier.features.store import layout
from croupier.models import exploration
from croupier.models.constraints.beside_baseline import Promised
from croupier.models.policy import Policy
from croupier.serving.decide.candidate_breaker import CandidateBreaker
from croupier.serving.decide.deadline import DeadlineRunner, TooSlow
from croupier.serving.learning.live_heads import LiveHeads
from croupier.serving.release.bundle import LoadedRelease
from croupier.serving.release.exploration.toward import ENTRY as TOWARD

log = logging.getLogger(__name__)
T = TypeVar("T")
WARM_SECONDS = 30.0
TOO_LATE = f"{CANDIDATE}: {TooSlow.__name__}"  # how `reason` begins where the candidate was not waited for
LEFT_OUT = f"{TOWARD}: left out: its breaker is open until the next release"


Ask = Callable[[Policy, Batch], F64]  # a policy's pmf (B, K) over the batch


def pmf_of(policy: Policy, batch: Batch) -> F64:
    """What a policy makes of a batch of its own."""
    return policy.pmf(batch)


@dataclass(frozen=True, slots=True)
class Served:
    """What one role made of its rows: `pmf` (B, K), floor included, and why it is not the role's own, if so. `step` and
    `shared` name the posterior as the log does. `promise`: the declared baseline beside which it was made,
    if any."""

    pmf: F64
    role: str
    policy: str
    step: int
    reason: str = ""
    shared: str = ""
    promise: Promised | None = None

    def apprenticed(self) -> "Served":
        """What is shown where an app is served in apprentice mode: the first arm of each request, for certain."""
        shown = np.zeros_like(self.pmf)
        shown[:, 0] = 1.0
        return replace(self, pmf=shown, role=APPRENTICE, promise=None)

    def promised(self, drawn: Sequence[int]) -> list[str]:
        """What each decision says of the promise, where `drawn` (B,) are the places of the arms; "" where none is
        made."""
        return [""] * len(drawn) if self.promise is None else self.promise.of(drawn)


class Scorer:
    """Scores batches with one release's policies. A `trial` waits for its candidate however long it takes, since nobody
    waits for the trial."""

    def __init__(self, release: LoadedRelease, heads: LiveHeads, breaker: CandidateBreaker, *, trial: bool) -> None:
        self._release, self._heads, self._breaker, self._trial = release, heads, breaker, trial
        self._names = {CHAMPION: release.champion.name, CANDIDATE: getattr(release.candidate, "name", "")}
        self._runner = DeadlineRunner()

    def score(self, role: str, batch: Batch, stage: str, ask: Ask = pmf_of) -> Served:
        """The role's own pmf, as `ask` gives it; when the candidate fails the champion's, when that fails uniform. The
        `reason` of a champion's says why nothing was explored toward the candidate that its release has for that."""
        try:
            left, pmf = self._pmf(role, batch, ask)
            pmf = exploration.guard(pmf, left.mask)
            other, reason = self._toward(role, left, stage, ask)
            promise = self._release.exploration.promised(left)
            served = self._release.exploration.served(pmf, left, other, promise)
            step, shared = self._heads.step(role), self._heads.shared(role)
            return Served(served, role, self._names[role], step, reason, shared, promise)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a policy does, users get an arm
            failure = error
        if role == CHAMPION:
            log.error("%s failed", role, exc_info=failure)
            alike, promise = self._release.exploration.uniform(batch), self._release.exploration.promised(batch)
            return Served(alike, FALLBACK, "uniform", 0, _reason(role, failure), promise=promise)
        reason = self._counted(role, failure, stage)
        champion = self.score(CHAMPION, batch, stage, ask)
        return replace(champion, role=FALLBACK, reason=reason)

    def _toward(self, role: str, batch: Batch, stage: str, ask: Ask) -> tuple[F64 | None, str]:
        """The pmf that the champion explores toward; or None, and why there is none ("": its release has no such
        candidate)."""
        toward = self._release.toward
        if toward is None or role != CHAMPION:
            return None, ""
        if self._breaker.open(self._release.number, stage):
            return None, LEFT_OUT
        try:
            pmf = self._in_time(partial(ask, toward.policy, batch), len(batch))
            return exploration.guard(pmf, batch.mask), ""
        except (Exception, SystemExit) as error:  # noqa: BLE001 - told where it is counted
            return None, self._counted(TOWARD, error, stage)

    def _counted(self, name: str, error: BaseException, stage: str) -> str:
        """Counts a candidate's failure, and returns it as the log has it."""
        reason = _reason(name, error)
        if isinstance(error, TooSlow):
            log.warning("%s", reason)
            self._breaker.slow(self._release.number, stage, reason, busy=error.busy)
        else:
            log.error("%s failed", name, exc_info=error)
            self._breaker.failed(self._release.number, stage, reason)
        return reason

    def _pmf(self, role: str, batch: Batch, ask: Ask) -> tuple[Batch, F64]:
        """What is left of the candidates, and the pmf over them."""
        work = partial(self._over_what_is_left, self._heads.policy(role), batch, ask)
        return work() if role == CHAMPION else self._in_time(work, len(batch))

    def _in_time(self, work: Callable[[], T], rows: int) -> T:
        """A candidate is waited for only so long: users of the champion are in the same batch."""
        if self._trial:
            return work()
        found = self._runner.run(work, self._breaker.patience(rows))
        self._breaker.in_time()
        return found

    def _over_what_is_left(self, policy: Policy, batch: Batch, ask: Ask) -> tuple[Batch, F64]:
        left = self._release.limits.safe(policy, batch)
        return left, ask(policy, left)

    def warm(self, batch: Batch) -> None:
        """Each policy makes what it keeps from batch to batch (shares of the catalogue, draws), so that no user waits
        for it. What fails here will fail in its first batch, and is told then."""
        policies = {CHAMPION: self._heads.policy(CHAMPION)}
        if self._release.candidate is not None:
            policies[CANDIDATE] = self._heads.policy(CANDIDATE)
        if self._release.toward is not None:
            policies[TOWARD] = self._release.toward.policy
        if self._release.baseline is not None:
            policies[layout.BASELINE] = self._release.baseline
        for name, policy in policies.items():
            try:
                self._runner.run(partial(policy.pmf, batch), WARM_SECONDS)
            except Exception:
                log.exception("%s failed while warming up", name)


def _reason(name: str, error: BaseException) -> str:
    """Why something is not the policy's own; one that was not waited for is not cut short."""
    reason = f"{name}: {told(error)}"
    return reason if isinstance(error, TooSlow) else reason[:200]


def told(error: BaseException) -> str:
    """Its type and text, as the log can hold them: the text may be no UTF-8, and asking for it may raise."""
    try:
        text = str(error).encode(errors="replace").decode()
    except Exception:  # noqa: BLE001 - a policy's own
        text = "(says nothing)"
    return f"{type(error).__name__}: {text}"
