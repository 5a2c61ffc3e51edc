"""`auto`: a portfolio of policies that learn from one log, narrowed down to the one that earns most on it.

Every policy learns every round, whoever drew its arm: the arm is drawn from the mixture Σ wᵢ πᵢ, whose pmf is known, so
the log is one that any of them may learn from. What policy i would have earned in a round is estimated from that
propensity (DR; q̂ is what a linear policy expected before it saw the reward). Over the later half of the log, the
weights wᵢ are the shares of draws of a normal posterior of these values in which policy i is the best. At each doubling
of the log the worse half leaves (successive halving; Karnin, Koren & Somekh 2013; Jamieson & Talwalkar 2016): the more
rows, the fewer learn. Two that hardly differ both stay for longer.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from croupier.features.batch import F64, Batch, Interactions
from croupier.models.simulation.online.learner import Learner

RARE = 4  # rounds that a reward on the rarer side of the mean stands for
LEADS = 0.5  # weight of the leader until weights differ by what was earned
FIRST = 250  # rounds at which the portfolio is narrowed for the first time
LEAST = 30  # rounds from which on weights differ
DRAWS = 512
SURE = 0.05  # weight below which the last but one leaves, too
LAST = 4000  # rounds from which on one is left, sure or not
KEPT = 0.02  # of the mixture, shared evenly by the policies that are left, so that each can be judged


@dataclass
class Auto:
    """Learners by name; `left` are those that still learn, each with its weight in the mixture. `critic` expects a
    reward (B, K) of each arm, or None where it knows nothing: then the mean of the rewards so far is expected. `leader`
    is whom most of the first rounds are played by, since it learns from few; empty: all alike. Those that are
    `free` cost next to nothing, and stay for as long as they may be the best."""

    learners: Mapping[str, Learner]
    seed: int
    critic: Callable[[Batch], F64 | None] = lambda _: None
    leader: str = ""
    free: frozenset[str] = frozenset()
    left: dict[str, float] = field(default_factory=dict)
    values: dict[str, list[F64]] = field(default_factory=dict)
    dropped: dict[str, int] = field(default_factory=dict)  # the round at which each left
    learnt: dict[str, int] = field(default_factory=dict)  # rows
    _pmfs: dict[str, F64] = field(default_factory=dict)
    _sum: float = 0.0
    _rows: int = 0
    _above: int = 0
    _next: int = FIRST
    _weighed: int = 0

    def __post_init__(self) -> None:
        even = (1 - LEADS) / max(1, len(self.learners) - 1) if self.leader else 1 / len(self.learners)
        self.left = dict.fromkeys(self.learners, even) | ({self.leader: LEADS} if self.leader else {})
        self.values = {name: [] for name in self.learners}
        self.learnt = dict.fromkeys(self.learners, 0)

    def rounds(self, t: int) -> int:
        """As many as the most impatient of those that are left has."""
        return min(self.learners[name].rounds(t) for name in self.left)

    def pmf(self, batch: Batch) -> F64:
        """Returns (B, K): the mixture's."""
        self._pmfs = {name: self.learners[name].pmf(batch) for name in self.left}
        weights, pmfs = np.array(list(self.left.values())), np.stack(list(self._pmfs.values()))
        return np.asarray(np.einsum("i,ibk->bk", weights, pmfs), np.float64)

    def learn(self, new: Interactions, t: int) -> None:
        """Judges and teaches who is left by the rounds that end before round `t`, and narrows down."""
        if len(self.left) > 1:
            self._judge(new)
        for name in self.left:
            self.learners[name].learn(new, t)
            self.learnt[name] += len(new)
        if len(self.left) > 1 and t >= LEAST and t >= self._weighed + max(1, t // 50):
            self._weigh(t)
        if (telling := self._telling(t)) >= self._next and len(self.left) > 1:
            self._halve(t)
            self._next = 2 * telling

    def _telling(self, t: int) -> int:
        """Rounds as far as their rewards tell: where one side of the mean is rare, four for each reward on it, but a
        fourth of all at least. So what rare rewards teach slowly is not judged before it is learnt."""
        return int(max(t / RARE, min(t, RARE * min(self._above, self._rows - self._above))))

    def _judge(self, new: Interactions) -> None:
        """DR of each that is left (Dudík, Langford & Li 2011, eq. 2)."""
        rows, mean = np.arange(len(new)), self._sum / self._rows if self._rows else 0.0
        known = self.critic(new.batch)
        q = np.full(new.pmf.shape, mean) if known is None else known
        residual = (new.reward - q[rows, new.chosen]) / new.propensity
        for name, pmf in self._pmfs.items():
            self.values[name].append((pmf * q).sum(axis=1) + pmf[rows, new.chosen] * residual)
        self._above += int((new.reward > mean).sum())
        self._sum, self._rows = self._sum + float(new.reward.sum()), self._rows + len(new)

    def _weigh(self, t: int) -> None:
        self._weighed = t
        best = best_shares(self._recent(t), np.random.default_rng([self.seed, t]))
        floor = KEPT / len(best)
        self.left = {name: floor + (1 - KEPT) * share for name, share in zip(self.left, best.tolist(), strict=True)}

    def _recent(self, t: int) -> F64:
        """(n, m) what each that is left would have earned in the later half of the rounds."""
        whole = {name: np.concatenate(self.values[name]) for name in self.left}
        self.values |= {name: [v] for name, v in whole.items()}
        return np.stack([v[-max(LEAST, t // 2) :] for v in whole.values()], axis=1)

    def _halve(self, t: int) -> None:
        kept = self._stay(t)
        self.dropped |= dict.fromkeys((name for name in self.left if name not in kept), t)
        total = sum(self.left[name] for name in kept)
        self.left = {name: weight / total for name, weight in self.left.items() if name in kept}

    def _stay(self, t: int) -> list[str]:
        """The better half of those that cost something, or both of a last pair that hardly differ; and those that cost
        nothing, unless they are surely not the best. One that costs goes, too, where one that costs nothing is surely
        better."""
        costly = sorted(self.left.keys() - self.free, key=lambda name: -self.left[name])
        half = costly[: -(-len(costly) // 2)]
        if len(costly) == 2 and self.left[costly[1]] >= SURE and t < LAST:
            half = costly
        free = [name for name in self.left if name in self.free and self.left[name] >= SURE]
        return free if free and len(half) == 1 and self.left[half[0]] < SURE else [*half, *free]


def best_shares(values: F64, rng: np.random.Generator) -> F64:
    """Returns (m,): the share of draws from the normal posterior of the means of `values` (n, m) in which each is the
    highest."""
    n, m = values.shape
    spread = np.cov(values, rowvar=False).reshape(m, m) / n
    width, axes = np.linalg.eigh(spread)
    noise = rng.standard_normal((DRAWS, m)) * np.sqrt(np.maximum(width, 0.0))
    drawn = values.mean(axis=0) + noise @ axes.T
    return np.bincount(drawn.argmax(axis=1), minlength=m) / DRAWS


def narrowed(runs: Sequence[Auto]) -> dict[str, Any]:
    """Returns, for the result of `runs`, how often each policy was left at the end and how many rows it learnt, mean;
    nothing where there are none."""
    if not runs:
        return {}
    chosen = [max(run.left, key=lambda name: run.left[name]) for run in runs]
    names = runs[0].learners
    rows = {name: float(np.mean([run.learnt[name] for run in runs])) for name in names}
    return {"portfolio": {name: {"chosen": chosen.count(name), "rows": rows[name]} for name in names}}
