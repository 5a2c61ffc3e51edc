"""From a policy's posterior to an allocation, with its exact probability.

    S draws of the shared head ─▶ scores (S, items, options) ─▶ each solved ─▶ votes ─▶ floor ─▶ one, by the event's id

Combinatorial Thompson sampling (Wang & Chen 2018, "Thompson sampling for combinatorial semi-bandits"), but from S draws
that (seed, posterior step) fix, so that the share of draws that elect an allocation *is* its probability. With the
floor ε a random feasible allocation, uniform over all of them, is taken in their place: joint (1 − ε)·votes/S + ε/N.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from croupier.features.batch import F64, I64, Batch
from croupier.features.budgets.grid import Grid
from croupier.features.budgets.uniform import FLOOR_CELLS, RandomAllocation
from croupier.models.allocation.coverage import Coverage
from croupier.models.allocation.exact import exact
from croupier.models.allocation.lagrangian import greedy, lagrangian
from croupier.models.allocation.request import AllocationRequest, Budget, Weights, joined
from croupier.models.allocation.votes import Votes
from croupier.models.bayesian.base import Bayesian
from croupier.models.bayesian.scores import drawn_scores

Solver = Literal["auto", "exact", "lagrangian", "greedy"]
EXACT_WORK = 1 << 19  # additions of the dynamic program up to which "auto" takes it: some milliseconds


@dataclass(frozen=True, kw_only=True, eq=False)
class Allocation:
    """`chosen` (n,): an option for each item, at `cost` in all; `propensity`: the probability of exactly this
    allocation; `marginals` (n, m): that of each option of each item, rows summing to 1; `gap`: the mean over draws of
    how far the solver may be from the optimum, in units of the reward (0: exact; NaN: greedy proves nothing);
    `step`: rewards the posterior had learnt from."""

    chosen: I64
    cost: float
    propensity: float
    marginals: F64
    gap: float
    step: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Allocator:
    """Allocates by a policy with one Bayesian head that all items share, from as many draws as its parameter `draws`.

    `crossed` gives it the products of option and item features (linear heads need them; a network learns its own).
    `floor`: the probability of a random feasible allocation. `solver` "auto": exact for small instances, else the
    Lagrangian. Raises ValueError where the policy has heads of its arms or is no Thompson sampling, the floor is not in
    [0, 1], or the solver is unknown."""

    policy: Bayesian
    weights: Weights = field(default_factory=Weights)
    floor: float = 0.02
    crossed: bool = False
    solver: Solver = "auto"

    def __post_init__(self) -> None:
        found = {key: self.policy.parameters[key] for key in ("heads", "explore")}
        if found != {"heads": "shared", "explore": "thompson"}:
            raise ValueError(
                f"{self.policy.name}: found {found}, expected a shared head, so that items nobody has seen are scored "
                "by their features, and 'thompson', whose draws are solved"
            )
        if self.solver not in SOLVERS:
            raise ValueError(f"solver: found {self.solver!r}, expected one of {', '.join(SOLVERS)}")
        if not 0 <= self.floor <= 1:
            raise ValueError(f"floor: found {self.floor}, expected a share between 0 and 1")

    def allocate(self, asked: AllocationRequest, *, salt: str, event_id: str) -> Allocation:
        """The allocation of this event, a function of (policy, request, salt, event id) alone. Raises InvalidEvent."""
        (votes,) = self.votes([asked])
        return self.allocation(asked, votes, votes.draw(salt, event_id))

    def allocation(self, asked: Budget, votes: Votes, chosen: I64) -> Allocation:
        """What `chosen` (n,) is among what the votes might have given this request."""
        return Allocation(
            chosen=chosen,
            cost=math.fsum(asked.costs()[np.arange(len(chosen)), chosen].tolist()),
            propensity=votes.propensity(chosen),
            marginals=votes.marginals(),
            gap=votes.gap,
            step=self.policy.heads.step,
        )

    def votes(self, requests: Sequence[AllocationRequest]) -> list[Votes]:
        """What the draws elect for each of some requests that share items' number, options, costs, regions and total:
        the same, bit for bit, as for each by itself. Raises InvalidEvent where nothing can be allocated."""
        return self.elected(requests[0], joined(requests, crossed=self.crossed))

    def elected(self, budget: Budget, batch: Batch) -> list[Votes]:
        """What the draws elect for each request of a batch (B · n, m), whose rows are items and whose candidates are
        options: B requests, n items each, under one budget. Raises InvalidEvent where nothing can be allocated."""
        grid, coverage, (n, m) = budget.grid(), budget.coverage(self.weights), budget.shape
        scores = self.scores(batch)
        B, S = scores.shape[1] // n, len(scores)
        gains = budget.gains(scores.reshape(S, B, n, m).swapaxes(0, 1), self.weights)
        exactly = self.solver == "exact" or (self.solver == "auto" and S * grid.work(coverage.states) <= EXACT_WORK)
        elected, gap = SOLVERS["exact" if exactly else self.solver](gains.reshape(B * S, n, m), grid, coverage)
        random, gaps = RandomAllocation.of(grid.coarser(FLOOR_CELLS)), gap.reshape(B, S).mean(axis=1).tolist()
        each = zip(elected.reshape(B, S, n), gaps, strict=True)
        return [Votes(elected=chosen, gap=mean, random=random, floor=self.floor) for chosen, mean in each]

    def scores(self, batch: Batch) -> F64:
        """(S, N, m): what each draw of the posterior expects of each option of all N items, in units of the reward, up
        to a constant that all allocations share."""
        return drawn_scores(self.policy, batch) * self.policy.reward_sd


def _exact(gains: F64, grid: Grid, coverage: Coverage) -> tuple[I64, F64]:
    return exact(gains, grid, coverage), np.zeros(len(gains))


def _lagrangian(gains: F64, grid: Grid, coverage: Coverage) -> tuple[I64, F64]:
    solved = lagrangian(gains, grid, coverage)
    return solved.chosen, solved.gap


def _greedy(gains: F64, grid: Grid, coverage: Coverage) -> tuple[I64, F64]:
    return greedy(gains, grid, coverage), np.full(len(gains), np.nan)


SOLVERS = {"exact": _exact, "auto": _lagrangian, "lagrangian": _lagrangian, "greedy": _greedy}
