"""One policy that learns online, block by block of rounds.

A policy that can `update` (a Bayesian head) does so after every block, and learns anew from the whole log now and then;
VW stays in memory and learns every row; anything else learns anew.
"""

from dataclasses import dataclass, field
from typing import Any

from croupier.features.batch import F64, Batch, Interactions, concatenate
from croupier.models.policy import Policy
from croupier.models.vw.policy import BilinearPolicy


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """Blocks of t / `share` rounds, at most `block`, share one policy; a whole relearning comes after the first
    `first` rounds, then after a quarter more, but at most `relearn` or t / `share` more."""

    block: int = 100
    share: int = 20
    first: int = 20
    relearn: int = 400

    def rounds(self, t: int) -> int:
        """How many rounds the block that begins at round `t` has."""
        return min(max(t // self.share, 1), self.block)


FINE = Schedule(block=5, share=200)  # of VW, whose single gradient step a row suffers most from waiting
# Of runs in which relearning at each 5 % more would be most of the work. A rare reward not met in the uniform rounds at
# the start is beyond what the scale of rewards lets a posterior expect: 20 rounds miss the wheel's at δ .9 in 46 %.
LONG = Schedule(block=1000, relearn=10**9, first=200)


def schedule_of(policy: Policy, rounds: int) -> Schedule:
    """Returns how often a policy learns in a simulation of so many rounds."""
    if policy.name == "vw_cb_adf":
        return FINE
    return LONG if rounds > 20_000 else Schedule()


@dataclass
class Learner:
    """A policy, what it has seen, and when it learns; `range` is that of all rewards."""

    policy: Policy
    range: tuple[float, float]
    seed: int
    schedule: Schedule
    log: list[Interactions] = field(default_factory=list)
    due: int = 0
    vw: Any = None

    def rounds(self, t: int) -> int:
        """How many rounds from `t` on share one policy."""
        return self.schedule.rounds(t)

    def pmf(self, batch: Batch) -> F64:
        """Returns (B, K)."""
        return self.policy.pmf(batch)

    def learn(self, new: Interactions, t: int) -> None:
        """Learns the rounds that end before round `t`, whoever drew their arms."""
        self.log.append(new)
        update = getattr(self.policy, "update", None)
        if isinstance(self.policy, BilinearPolicy):
            self.policy = self._by_vw(self.policy, new)
        elif t >= self.due and t >= self.schedule.first:
            self.log = [concatenate(self.log)]
            self.policy = self.policy.learn(self.log, seed=self.seed)
            every = max(self.schedule.relearn, t // self.schedule.share)
            self.due = t + min(max(t // 4, self.schedule.first), every)
        elif update is not None and t > self.schedule.first:
            self.policy = update([new])

    def _by_vw(self, policy: BilinearPolicy, new: Interactions) -> BilinearPolicy:
        from croupier.models.vw.train import Online

        if self.vw is None:
            self.vw = Online(policy.flags, low=self.range[0], high=self.range[1])
        return policy.with_form(self.vw.learn(new))
