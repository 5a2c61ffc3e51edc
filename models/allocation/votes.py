"""What S draws elect, with the floor's random allocation: joint and marginal propensities, and the draw of an event."""

import math
from dataclasses import dataclass

import numpy as np

from croupier.features.batch import F64, I64
from croupier.features.budgets.uniform import FLOOR_CELLS, RandomAllocation
from croupier.features.ids import uniform01
from croupier.models.allocation.request import Budget


@dataclass(frozen=True, kw_only=True, eq=False)
class Votes:
    """What S draws elect, `elected` (S, n), and the floor's random allocation."""

    elected: I64
    gap: float
    random: RandomAllocation
    floor: float

    def draw(self, salt: str, event_id: str) -> I64:
        """(n,): the allocation of this event: the same again whenever it is asked."""
        u = uniform01(salt, event_id)
        if u < self.floor:
            items = range(self.elected.shape[1])
            return self.random.draw(np.array([uniform01(salt, f"{event_id}/{i}") for i in items]))
        draw = int((u - self.floor) / (1 - self.floor) * len(self.elected))
        chosen: I64 = self.elected[min(draw, len(self.elected) - 1)]
        return chosen

    def propensity(self, chosen: I64) -> float:
        """The probability of exactly this allocation (n,)."""
        share = float((self.elected == chosen).all(axis=1).mean())
        random = self.random.probability if self.random.grid.holds(chosen) else 0.0
        return (1 - self.floor) * share + self.floor * random

    def marginals(self) -> F64:
        """(n, m): the probability of each option of each item."""
        options = np.arange(self.random.grid.steps.shape[1])
        shares = (self.elected[:, :, None] == options).mean(axis=0)
        mixed: F64 = (1 - self.floor) * shares + self.floor * self.random.marginals if self.floor else shares
        return mixed


def at_random(budget: Budget) -> Votes:
    """A random feasible allocation for certain. Raises InvalidEvent where nothing can be allocated."""
    random = RandomAllocation.of(budget.grid().coarser(FLOOR_CELLS))
    return Votes(elected=np.zeros((1, budget.shape[0]), np.int64), gap=math.nan, random=random, floor=1.0)
