"""What other hosts had learnt when a decision was made, derived anew from their logs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import orjson

from croupier.features.log.spool import Spool
from croupier.features.schema import CANDIDATE
from croupier.features.spec import RewardSpec
from croupier.models.bayesian.posterior import Posterior
from croupier.models.policy import Policy
from croupier.serving.fleet import contribution, posteriors
from croupier.serving.fleet.contribution import Contribution
from croupier.serving.learning import fast_loop
from croupier.serving.learning.head_file import State
from croupier.serving.learning.live_heads import learns
from croupier.serving.release.bundle import LoadedRelease

Logs = Callable[[str], Spool | None]


def nobodys(_spool_id: str) -> Spool | None:
    """Where no other host's log is at hand."""
    return None


@dataclass(frozen=True, kw_only=True)
class Rederivation:
    """Derives anew what other hosts had learnt of a head. `spool` is the log of the host that decided, `logs` gives
    another host's by its id, or None."""

    release: LoadedRelease
    role: str
    spool: Spool
    logs: Logs
    spec: RewardSpec

    def with_others(self, policy: Policy, name: str) -> Policy:
        """The policy with what `name` stands for added to its head. Raises ValueError where a log is missing, or says
        something else."""
        if not learns(policy):
            raise ValueError(f"found the shared posterior {name}, expected none: {policy.name} does not learn at once")
        said = posteriors.kept(self.spool, name)
        if said is None:
            raise ValueError(f"{self.spool.path} does not know the shared posterior {name}: older than a week, or lost")
        head = policy.head
        moments = head.moments + contribution.total(
            [self._derived(*each) for each in orjson.loads(said)], len(head.moments.b)
        )
        return cast("Policy", policy.with_head(Posterior(prior=head.prior, moments=moments, step=head.step)))

    def _derived(self, spool_id: str, step: int, version: str) -> Contribution:
        log = self.logs(spool_id)
        if log is None:
            raise ValueError(
                f"the log of spool {spool_id} is needed, whose host had learnt {step} steps by then: name a copy of "
                "its spool/log.db with --log"
            )
        released = self.release.candidate if self.role == CANDIDATE else self.release.champion
        assert learns(released)  # as with_others has seen
        base = released.head
        policy = fast_loop.rebuilt(self.release, self.role, log, self.spec, until_step=base.step + step)
        assert learns(policy)
        found = Contribution.of(spool_id, base, State(policy.head.moments, policy.head.step, 0))
        if found.version != version:
            raise ValueError(
                f"the log of spool {spool_id} gives {found.version} at {step} steps, expected {version}: rewards of it "
                "are gone, or were changed"
            )
        return found
