"""A role's pmf for its rows, whatever its policy does: raise, give what is no pmf, hang.

candidate fails ─▶ the champion's pmf, and the breaker counts     champion fails ─▶ uniform
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from croupier.features.batch import F64, Batch
from croupier.features.schema import APPRENTICE, CANDIDATE, CHAMPION, FALLBACK
from croupier.models import exploration
from croupier.models.policy import Policy
from croupier.serving.decide.candidate_breaker import CandidateBreaker
from croupier.serving.decide.deadline import DeadlineRunner, TooSlow
from croupier.serving.learning.live_heads import LiveHeads
from croupier.serving.release.bundle import LoadedRelease

log = logging.getLogger(__name__)
WARM_SECONDS = 30.0
TOO_LATE = f"{CANDIDATE}: {TooSlow.__name__}"  # how `reason` begins where the candidate was not waited for


Ask = Callable[[Policy, Batch], F64]  # a policy's pmf (B, K) over the batch


def pmf_of(policy: Policy, batch: Batch) -> F64:
    """What a policy makes of a batch of its own."""
    return policy.pmf(batch)


@dataclass(frozen=True, slots=True)
class Served:
    """What one role made of its rows: `pmf` (B, K), floor included, and why it is not the role's own, if so. `step` and
    `shared` name the posterior as the log does."""

    pmf: F64
    role: str
    policy: str
    step: int
    reason: str = ""
    shared: str = ""

    def apprenticed(self) -> "Served":
        """What is shown where an app is served in apprentice mode: the first arm of each request, for certain."""
        shown = np.zeros_like(self.pmf)
        shown[:, 0] = 1.0
        return replace(self, pmf=shown, role=APPRENTICE)


class Scorer:
    """Scores batches with one release's policies. A `trial` waits for its candidate however long it takes, since nobody
    waits for the trial."""

    def __init__(self, release: LoadedRelease, heads: LiveHeads, breaker: CandidateBreaker, *, trial: bool) -> None:
        self._release, self._heads, self._breaker, self._trial = release, heads, breaker, trial
        self._names = {CHAMPION: release.champion.name, CANDIDATE: getattr(release.candidate, "name", "")}
        self._runner = DeadlineRunner()

    def score(self, role: str, batch: Batch, stage: str, ask: Ask = pmf_of) -> Served:
        """The role's own pmf, as `ask` gives it; when the candidate fails the champion's, when that fails uniform."""
        count: Callable[[int, str, str], None] = self._breaker.failed
        try:
            left, pmf = self._pmf(role, batch, ask)
            served = self._release.explored(exploration.guard(pmf, left.mask), left)
            step, shared = self._heads.step(role), self._heads.shared(role)
            return Served(served, role, self._names[role], step, shared=shared)
        except TooSlow as error:
            reason = f"{TOO_LATE}: {error}"
            count = partial(self._breaker.slow, busy=error.busy)
            log.warning("%s", reason)
        except (Exception, SystemExit) as error:  # whatever a policy does, users get an arm
            reason = f"{role}: {told(error)}"[:200]
            log.exception("%s failed", role)
        if role == CHAMPION:
            return Served(self._release.uniform(batch), FALLBACK, "uniform", 0, reason)
        count(self._release.number, stage, reason)
        champion = self.score(CHAMPION, batch, stage, ask)
        return Served(champion.pmf, FALLBACK, champion.policy, champion.step, reason, champion.shared)

    def _pmf(self, role: str, batch: Batch, ask: Ask) -> tuple[Batch, F64]:
        """What is left of the candidates, and the pmf over them. The candidate is waited for only so long: users of the
        champion are in the same batch."""
        work = partial(self._over_what_is_left, self._heads.policy(role), batch, ask)
        if role == CHAMPION or self._trial:
            return work()
        found = self._runner.run(work, self._breaker.patience(len(batch)))
        self._breaker.in_time()
        return found

    def _over_what_is_left(self, policy: Policy, batch: Batch, ask: Ask) -> tuple[Batch, F64]:
        left = self._release.limits.safe(policy, batch)
        return left, ask(policy, left)

    def warm(self, batch: Batch) -> None:
        """Each policy makes what it keeps from batch to batch (shares of the catalogue, draws), so that no user waits
        for it. What fails here will fail in its first batch, and is told then."""
        for role in (CHAMPION, CANDIDATE) if self._release.candidate else (CHAMPION,):
            try:
                self._runner.run(partial(self._heads.policy(role).pmf, batch), WARM_SECONDS)
            except Exception:
                log.exception("%s failed while warming up", role)


def told(error: BaseException) -> str:
    """Its type and text, as the log can hold them: the text may be no UTF-8, and asking for it may raise."""
    try:
        text = str(error).encode(errors="replace").decode()
    except Exception:  # noqa: BLE001 - a policy's own
        text = "(says nothing)"
    return f"{type(error).__name__}: {text}"
