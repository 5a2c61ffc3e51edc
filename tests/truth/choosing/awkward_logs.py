"""Logs on which a choice is harder than on a classification: what rewards are like, and which policy logged."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from croupier.features.batch import F32, F64, I64, Batch
from croupier.models.exploration import with_floor
from croupier.models.policy import Policy
from croupier.models.simulation.simulate import Problem

Draw = Callable[[F64, np.random.Generator], F64]  # means of the arms that were shown → rewards
WIDTH = 12
LOGGED_FLOOR = 0.05  # of the policies that logged unevenly
GREEDY_FLOOR = 0.02  # of the one that hardly explored


@dataclass(frozen=True)
class Evenly:
    """A logging policy that draws every arm alike."""

    def pmf(self, batch: Batch) -> F64:
        """Returns (B, K)."""
        return batch.mask / batch.mask.sum(axis=1, keepdims=True)


@dataclass(frozen=True)
class Unevenly:
    """A logging policy that prefers some arms, whatever the context."""

    seed: int

    def pmf(self, batch: Batch) -> F64:
        """Returns (B, K)."""
        taste = np.exp(np.random.default_rng([self.seed, 8]).normal(size=len(batch.catalogue.ids)))
        wanted = np.where(batch.mask, taste[batch.arm], 0.0)
        return with_floor(wanted / wanted.sum(axis=1, keepdims=True), batch.mask, LOGGED_FLOOR)


@dataclass(frozen=True)
class Greedily:
    """A logging policy that takes what a trained one draws most, and explores little."""

    policy: Policy

    def pmf(self, batch: Batch) -> F64:
        """Returns (B, K)."""
        best = self.policy.pmf(batch).argmax(axis=1)
        return with_floor(np.eye(batch.arm.shape[1])[best], batch.mask, GREEDY_FLOOR)


def heavy(means: F64, rng: np.random.Generator) -> F64:
    """Rewards of a lognormal law with σ = 1.5, whose mean is `means`."""
    return means * np.exp(1.5 * rng.standard_normal(len(means)) - 1.5**2 / 2)


def clicks(means: F64, rng: np.random.Generator) -> F64:
    """Rewards of 0 and 1."""
    return (rng.random(len(means)) < means).astype(np.float64)


def costs(means: F64, rng: np.random.Generator) -> F64:
    """Costs of an exponential law: rewards below zero."""
    return means * rng.exponential(size=len(means))


@dataclass(frozen=True)
class Made:
    """A problem whose means follow a rule: `arms` of them, `mean` of linear scores (T, K), rewards by `law`."""

    arms: int
    mean: Callable[[F64], F64]
    law: Draw
    seed: int
    curved: bool = False
    rows: int = field(default=0, kw_only=True)  # of the log; 0: as many as is asked

    def __call__(self, rounds: int, rng: np.random.Generator) -> Problem:
        """The problem with so many rounds."""
        X = rng.normal(size=(rounds, WIDTH)).astype(np.float32)
        means = self.mean(self._scores(X))
        return Problem(
            contexts=X,
            means=means,
            loss_from=0.0,
            range=(float(means.min()), float(means.max())),
            draw=lambda t, arm, draws: self._drawn(means, t, arm, draws),
        )

    def _scores(self, X: F32) -> F64:
        rng = np.random.default_rng([self.seed, 78])
        weights = rng.normal(size=(WIDTH, self.arms)) / np.sqrt(WIDTH)
        if self.curved:
            weights = rng.normal(size=(30, self.arms)) / np.sqrt(30)
            X = np.sin(1.5 * X @ rng.normal(size=(WIDTH, 30)) / np.sqrt(WIDTH))
        return np.asarray(X @ weights + 0.5 * rng.normal(size=self.arms), np.float64)

    def _drawn(self, means: F64, t: I64, arm: I64, rng: np.random.Generator) -> F64:
        return self.law(means[t, arm], rng)


def logistic(low: float, high: float) -> Callable[[F64], F64]:
    """A mean between two numbers, rising with the score."""
    return lambda scores: low + (high - low) / (1 + np.exp(-scores))


AWKWARD = {
    "heavy tails": Made(5, np.exp, heavy, 1),
    "costs": Made(5, lambda s: -np.exp(s), costs, 2),
    "tiny difference": Made(2, lambda s: 0.1 + 0.005 * np.tile([0.0, 1.0], (len(s), 1)), clicks, 3),
    "clicks of 2 %": Made(6, logistic(0.0, 0.06), clicks, 4),
    "200 rows": Made(4, logistic(0.0, 1.0), clicks, 5, rows=200),
    "600 rows": Made(4, logistic(0.0, 1.0), clicks, 6, rows=600),
}
# looked at once, after the chooser was as it is
KEPT_BACK = {
    "waves": Made(4, logistic(0.1, 0.9), clicks, 11, curved=True),
    "heavy waves": Made(3, np.exp, heavy, 12, curved=True),
    "costs, 12 arms": Made(12, lambda s: -np.exp(0.7 * s), costs, 13),
    "clicks of 5 %, 2 arms": Made(2, logistic(0.0, 0.1), clicks, 14),
    "steep, 8 arms": Made(8, lambda s: logistic(0.0, 1.0)(4 * s), clicks, 15),
    "1,000 rows": Made(5, logistic(0.2, 0.8), clicks, 16, rows=1000),
}
