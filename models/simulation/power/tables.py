"""A population as tables over (context, arm), so that a log of 20,000 rows is a few look-ups.

Everything that a gate is told of a row is a function of its context, its arm and its reward: weights, what the reward
model predicts, how the weights could have spread. They are computed once, and a log gathers them.
"""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from croupier.features.batch import F64, I64
from croupier.models.gate.bounds.steadied import extremes, powers
from croupier.models.ope.estimators import Rounds
from croupier.models.simulation.adversarial import Trap, reward_model
from croupier.models.simulation.gate_simulation import DrawnLog
from croupier.models.simulation.populations import Population

GUIDES = 4  # a cell, on average: where the search for a draw begins


@dataclass(frozen=True, kw_only=True, eq=False)
class Tables:
    """Tables of N contexts, K arms. log, candidate, champion (N, K) pmfs; events (N, K) probabilities of a reward's
    event, worth `value` on top of `base` (N, K), with noise; predicted: m reward models q̂ (N, K), each of a log of
    its own; directs: Σ π q̂ of candidate and champion, (m, N) each; likeliest (N,) arm of the log."""

    log: F64
    candidate: F64
    champion: F64
    events: F64
    predicted: tuple[F64, ...]
    cumulative: F64
    guide: I64
    spread: F64
    reach: F64
    directs: tuple[F64, F64]
    likeliest: I64
    declared: tuple[float, float] = (0.0, 1.0)
    value: float = 1.0
    base: F64 | None = None
    noise: float = 0.0

    @classmethod
    def of_population(cls, population: Population) -> Self:
        """Contexts are equally likely, rewards 0/1."""
        even = np.full(len(population.truth), 1.0 / len(population.truth))
        pmfs = population.log, population.candidate, population.champion
        return cls._of(even, pmfs, population.truth, population.predicted)

    @classmethod
    def of_trap(cls, trap: Trap, rng: np.random.Generator, models: int = 8) -> Self:
        """A null made to deceive a gate, with some reward models that learnt a log each."""
        return cls._of(
            trap.kinds,
            (trap.log, trap.candidate, trap.champion),
            trap.events,
            tuple(reward_model(trap, rng) for _ in range(models)),
            declared=trap.declared,
            value=trap.value,
            base=np.broadcast_to(np.asarray(trap.base, np.float64), trap.events.shape),
            noise=trap.noise,
        )

    @classmethod
    def _of(cls, kinds: F64, pmfs: tuple[F64, F64, F64], events: F64, predicted: tuple[F64, ...], **more: Any) -> Self:
        log, candidate, champion = pmfs
        cumulative = np.cumsum((kinds[:, None] * log).ravel())
        cumulative /= cumulative[-1]
        starts = np.arange(GUIDES * len(cumulative)) / (GUIDES * len(cumulative))
        candidates, champions = (np.stack([(pmf * q).sum(axis=1) for q in predicted]) for pmf in (candidate, champion))
        return cls(
            log=log,
            candidate=candidate,
            champion=champion,
            events=events,
            predicted=predicted,
            cumulative=cumulative,
            guide=np.searchsorted(cumulative, starts, side="right"),
            spread=powers(log, candidate, champion),
            reach=extremes(log, candidate, champion),
            directs=(candidates, champions),
            likeliest=log.argmax(axis=1),
            **more,
        )

    def cells(self, n: int, rng: np.random.Generator) -> I64:
        """n independent draws (n,) of a context and an arm of its log: places in the tables, flattened."""
        u = rng.random(n)
        cell = self.guide[(u * len(self.guide)).astype(np.int64)]
        while (short := self.cumulative[cell] <= u).any():
            cell = cell + short
        return np.asarray(cell)

    def draw(self, n: int, rng: np.random.Generator) -> "DrawnTable":
        """One log of n rows, with a reward model drawn among those there are."""
        cell = self.cells(n, rng)
        reward = self.value * (rng.random(n) < self.events.ravel()[cell])
        if self.base is not None:
            reward = reward + self.base.ravel()[cell] + self.noise * rng.uniform(-1.0, 1.0, n)
        return DrawnTable(tables=self, cell=cell, reward=reward, model=int(rng.integers(len(self.predicted))))


@dataclass(frozen=True, kw_only=True, eq=False)
class DrawnTable:
    """A log: places in the tables and rewards, (n,) each, and which reward model is used."""

    tables: Tables
    cell: I64
    reward: F64
    model: int

    @property
    def context(self) -> I64:
        """The rows' contexts."""
        return np.asarray(self.cell // self.tables.log.shape[1])

    def whole(self) -> DrawnLog:
        """The log as the gate's own code takes it."""
        t, row = self.tables, self.context
        p, predicted = t.log.ravel()[self.cell], t.predicted[self.model].ravel()[self.cell]
        candidate, champion = (
            Rounds(
                reward=self.reward,
                propensity=p,
                target=pmf.ravel()[self.cell],
                predicted=predicted,
                direct=direct[self.model][row],
                thinning=np.ones(len(row)),
            )
            for pmf, direct in zip((t.candidate, t.champion), t.directs, strict=True)
        )
        top = t.likeliest[row]
        often = (self.cell % t.log.shape[1] == top) - t.log[row, top]
        tests = np.column_stack([1.0 / (t.log.shape[1] * p) - 1.0, often])
        return DrawnLog(
            candidate=candidate,
            champion=champion,
            tests=tests,
            divergence=t.spread[row],
            reach=t.reach[row],
            unsupported=0.0,
            declared=t.declared,
        )
