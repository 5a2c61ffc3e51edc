"""What a token budget earns, in the world `patches`: a policy that learns from whole-request rewards alone, beside the
same number of tokens everywhere, and the clairvoyant allocation.

After every block of questions the head learns whether each was answered rightly: one bit a question. What is compared
is exact: the true probability of a right answer under the policy's own marginals, on questions it has not seen.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from croupier.features.batch import I64, Interactions
from croupier.features.budgets.grid import Grid
from croupier.features.worlds.patches import TOKENS, Patches, Questions
from croupier.models.allocation.allocator import Allocator
from croupier.models.allocation.exact import exact
from croupier.models.allocation.learning import of_requests
from croupier.models.allocation.request import AllocationRequest, joined
from croupier.models.bayesian.linear import LinTS
from croupier.models.bayesian.threads import one_thread

COST = np.array(TOKENS, np.float64)
LEARNING_TOTALS = (96, 128, 192, 256)  # tokens a patch, block by block, while it learns
TOTALS = (96, 128, 160, 192, 224, 256, 288, 320, 360, 400)  # tokens a patch, at which policies are compared
COMPARED, EQUAL, MOST = 300, 128, 400  # questions; tokens a patch of the two fixed policies
BLOCK = 100
CURVE = (0, 200, 500, 1000, 2000, 4000, 8000, 16000, 32000)  # questions learnt from, at which accuracy is shown


@dataclass(eq=False)
class Player:
    """An allocator that learns in a world; `over_budget` counts requests whose allocation cost more than their
    total."""

    world: Patches
    allocator: Allocator
    over_budget: int = 0
    requests: int = 0

    def asked(self, questions: Questions, per_patch: float) -> list[AllocationRequest]:
        """The questions as requests, under a total of so many tokens a patch."""
        world, total = self.world, per_patch * self.world.patches
        pairs = zip(questions.question, questions.patch, strict=True)
        return [
            AllocationRequest(
                context=q, items=patch, options=world.options, cost=COST, total=total, region=world.region
            )
            for q, patch in pairs
        ]

    def learn(self, questions: Questions, per_patch: float, rng: np.random.Generator, salt: str) -> None:
        """Allocates for each question, sees whether it was answered rightly, and learns that."""
        requests = self.asked(questions, per_patch)
        ids = (str(self.requests + i) for i in range(len(requests)))
        chosen = [votes.draw(salt, event) for votes, event in zip(self.allocator.votes(requests), ids, strict=True)]
        self._count(chosen, requests)
        taken = np.eye(len(TOKENS))[np.array(chosen)]
        right = (rng.random(len(questions)) < self.world.accuracy(questions, taken)).astype(np.float64)
        policy = of_requests(self.allocator.policy, requests, chosen, right, crossed=self.allocator.crossed)
        self.allocator = replace(self.allocator, policy=policy)

    def _count(self, chosen: Sequence[I64], requests: Sequence[AllocationRequest]) -> None:
        """Counts the requests, and those whose options cost more than their total."""
        self.requests += len(requests)
        self.over_budget += sum(float(COST[c].sum()) > r.total for c, r in zip(chosen, requests, strict=True))

    def compared(self, questions: Questions, per_patch: float) -> tuple[float, float]:
        """The true accuracy, and the tokens a patch that it took, both in expectation over the policy's draws."""
        votes = self.allocator.votes(self.asked(questions, per_patch))
        marginals = np.stack([each.marginals() for each in votes])
        return self.world.accuracy(questions, marginals).mean(), float((marginals @ COST).mean())


def learner(*, seed: int, draws: int = 16, floor: float = 0.02) -> Allocator:
    """LinTS with a shared head that knows the world's columns, and no reward yet."""
    world = Patches(seed=seed)
    questions = world.ask(1, np.random.default_rng(0))
    empty = joined(Player(world, Allocator(policy=LinTS())).asked(questions, EQUAL), crossed=True)[:0]
    none = np.zeros(0)
    nothing = Interactions(
        batch=empty,
        chosen=none.astype(np.int64),
        reward=none,
        propensity=none,
        pmf=np.zeros((0, len(TOKENS))),
        at=none.astype(np.int64),
        unit=none.astype(np.uint64),
        weight=none,
    )
    policy = LinTS(draws=draws, prior="multi_valued").learn([nothing], seed=seed)
    return Allocator(policy=policy, floor=floor, crossed=True, solver="lagrangian")


def clairvoyant(world: Patches, questions: Questions, per_patch: float) -> tuple[float, float]:
    """Accuracy and tokens a patch of the best allocations, by the true worth of every token."""
    grid = Grid.of(np.tile(COST, (world.patches, 1)), per_patch * world.patches)
    chosen = exact(world.worth(questions), grid)
    taken = np.eye(len(TOKENS))[chosen]
    return float(world.accuracy(questions, taken).mean()), float((taken @ COST).mean())


def run(seed: int, *, questions: int, world: Patches | None = None) -> dict[str, Any]:
    """One seed: learns from so many questions, and is compared at every total."""
    world = world or Patches(seed=seed)
    player, rng = Player(world, learner(seed=seed)), np.random.default_rng([seed, 2])
    test = world.ask(COMPARED, np.random.default_rng([seed, 3]))
    curve: list[tuple[int, float]] = []
    with one_thread():
        for block in range(questions // BLOCK):
            if player.requests in CURVE:
                curve.append((player.requests, player.compared(test, EQUAL)[0]))
            per_patch = LEARNING_TOTALS[block % len(LEARNING_TOTALS)]
            player.learn(world.ask(BLOCK, rng), per_patch, rng, f"patches {seed}")
        learnt = [player.compared(test, total) for total in TOTALS]
    curve.append((player.requests, learnt[TOTALS.index(EQUAL)][0]))
    best = [clairvoyant(world, test, total) for total in TOTALS]
    fixed = {str(tokens): float(world.fixed(test, tokens).mean()) for tokens in TOKENS}
    return _figures(player, learnt, best, fixed) | {"seed": seed, "curve": curve}


def _figures(
    player: Player, learnt: list[tuple[float, float]], best: list[tuple[float, float]], fixed: dict[str, float]
) -> dict[str, Any]:
    """What one seed comes to."""
    here = TOTALS.index(EQUAL)
    needed = tokens_for(fixed[str(MOST)], learnt)
    return {
        "tokens_saved_at_equal_accuracy": 0.0 if needed is None else 1 - needed / MOST,
        "accuracy_gain_at_equal_tokens": learnt[here][0] - fixed[str(EQUAL)],
        "over_budget": player.over_budget,
        "gap_to_clairvoyant": best[here][0] - learnt[here][0],
        "requests": player.requests,
        "fixed": fixed,
        "learnt": learnt,
        "clairvoyant": best,
    }


def tokens_for(accuracy: float, found: Sequence[tuple[float, float]]) -> float | None:
    """The fewest tokens a patch at which an accuracy is reached, between (accuracy, tokens) by rising tokens; None
    where it is at none of them."""
    for (before, fewer), (after, more) in pairwise(found):
        if before >= accuracy:
            return fewer
        if after >= accuracy:
            return fewer + (more - fewer) * (accuracy - before) / (after - before)
    return None


FIGURES = ("tokens_saved_at_equal_accuracy", "accuracy_gain_at_equal_tokens", "gap_to_clairvoyant")


def simulate(*, seeds: int, questions: int, first_seed: int = 0) -> dict[str, Any]:
    """Means over seeds, `_se` their standard errors; `over_budget` is summed over all requests of all seeds."""
    from tqdm import tqdm

    which = tqdm(range(first_seed, first_seed + seeds), desc="patches: seeds", disable=None, leave=False)
    each = [run(seed, questions=questions) for seed in which]
    found: dict[str, Any] = {key: float(np.mean([one[key] for one in each])) for key in FIGURES}
    if seeds > 1:
        found |= {f"{key}_se": float(np.std([one[key] for one in each], ddof=1) / seeds**0.5) for key in FIGURES}
    found["over_budget"] = sum(one["over_budget"] for one in each)
    return found | {"requests": sum(one["requests"] for one in each), "questions": questions, "each_seed": each}
