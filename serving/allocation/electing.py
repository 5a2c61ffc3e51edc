"""A role's votes for one request, whatever its policy does.

candidate fails ─▶ the champion's votes, and the breaker counts     champion fails ─▶ a random feasible allocation
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from croupier.features.batch import Batch
from croupier.features.schema import CANDIDATE, CHAMPION, FALLBACK
from croupier.models.allocation.from_log import votes_of
from croupier.models.allocation.request import Budget, Weights
from croupier.models.allocation.votes import Votes, at_random
from croupier.serving.decide.candidate_breaker import CandidateBreaker
from croupier.serving.decide.deadline import DeadlineRunner, TooSlow
from croupier.serving.decide.scoring import TOO_LATE, told
from croupier.serving.learning.live_heads import LiveHeads
from croupier.serving.release.bundle import LoadedRelease

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Elected:
    """What one role elects, and why it is not the role's own, if so."""

    votes: Votes
    role: str
    policy: str
    step: int
    reason: str = ""
    shared: str = ""


class Elections:
    """Elects with one release's policies. A `trial` waits for its candidate however long it takes."""

    def __init__(self, release: LoadedRelease, heads: LiveHeads, breaker: CandidateBreaker, *, trial: bool) -> None:
        self._release, self._heads, self._breaker, self._trial = release, heads, breaker, trial
        self._runner = DeadlineRunner()

    def elected(self, role: str, budget: Budget, weights: Weights, batch: Batch, stage: str) -> Elected:
        """The role's own votes; when the candidate fails the champion's, when that fails a random allocation. Raises
        InvalidEvent where nothing can be allocated."""
        count: Callable[[int, str, str], None] = self._breaker.failed
        try:
            policy = self._heads.policy(role)
            work = partial(votes_of, policy, budget, batch, floor=self._release.floor, weights=weights)
            (votes,) = self._run(role, work, len(batch))
            step, shared = self._heads.step(role), self._heads.shared(role)
            return Elected(votes=votes, role=role, policy=policy.name, step=step, shared=shared)
        except TooSlow as error:
            reason = f"{TOO_LATE}: {error}"
            count = partial(self._breaker.slow, busy=error.busy)
            log.warning("%s", reason)
        except (Exception, SystemExit) as error:  # whatever a policy does, users get an allocation
            reason = f"{role}: {told(error)}"[:200]
            log.exception("%s failed", role)
        if role == CHAMPION:
            return Elected(votes=at_random(budget), role=FALLBACK, policy="uniform", step=0, reason=reason)
        count(self._release.number, stage, reason)
        champion = self.elected(CHAMPION, budget, weights, batch, stage)
        return replace(champion, role=FALLBACK, reason=reason)

    def _run(self, role: str, work: Callable[[], list[Votes]], rows: int) -> list[Votes]:
        """The candidate is waited for only so long."""
        if role != CANDIDATE or self._trial:
            return work()
        votes = self._runner.run(work, self._breaker.patience(rows))
        self._breaker.in_time()
        return votes
