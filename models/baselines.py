"""Policies without context: uniform, one fixed arm, and Beta–Bernoulli Thompson sampling (the A/B baseline)."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self

import numpy as np

from croupier.features.batch import F64, Batch, Interactions
from croupier.models import exploration, persistence
from croupier.models.policy import InlineArms

MOST_DRAWN = 10_000  # arms whose draws are kept


class Uniform:
    """1/K for every candidate: what to log with before anything is known."""

    name = "uniform"
    inline_arms: InlineArms = "explored"

    def pmf(self, batch: Batch) -> F64:
        """Returns 1/K on each candidate, (B, K)."""
        return exploration.uniform(batch.mask)

    def learn(self, log: Iterable[Interactions], *, seed: int = 0) -> Self:  # noqa: ARG002 — nothing to learn
        """Returns a uniform policy; there is nothing to learn."""
        return self

    def save(self, folder: Path) -> None:
        """Writes the policy's name into `folder`."""
        persistence.write(folder, self.name, {}, {})

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Reads the policy from `folder`."""
        persistence.read(folder)
        return cls()


class FixedArm:
    """Always `arm` where it is a candidate, else uniform. A control, and a way to pin a choice by hand."""

    name = "fixed_arm"
    inline_arms: InlineArms = "refused"  # whom would it fix, where arms come with each request?

    def __init__(self, *, arm: str) -> None:
        self.arm = arm

    def pmf(self, batch: Batch) -> F64:
        """Returns all mass on the one arm, (B, K); uniform where it is no candidate."""
        here = batch.mask & (batch.arm == batch.catalogue.row.get(self.arm, -1))
        return exploration.uniform(np.where(here.any(axis=1, keepdims=True), here, batch.mask))

    def learn(self, log: Iterable[Interactions], *, seed: int = 0) -> Self:  # noqa: ARG002 — nothing to learn
        """Returns the policy itself; there is nothing to learn."""
        return self

    def save(self, folder: Path) -> None:
        """Writes the arm's id into `folder`."""
        persistence.write(folder, self.name, {"arm": self.arm}, {})

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Reads the policy from `folder`."""
        return cls(**persistence.read(folder)[0])


class BetaBernoulli:
    """Thompson sampling over per-arm Beta posteriors, no context: Beta(alpha + Σr, beta + Σ(1 − r)).

    `draws` samples per arm are fixed by (seed, arm id), so the pmf is deterministic, independent of batch mates and
    of the order of arms, and an arm never seen is drawn from the prior. Rewards must lie in [0, 1]. For exact
    probabilities the arms' draws are independent of each other: they are hashed from the arm's name.
    """

    name = "beta_bernoulli"
    inline_arms: InlineArms = "explored"

    def __init__(self, *, alpha: float = 1.0, beta: float = 1.0, draws: int = 256) -> None:
        if not (alpha > 0 and beta > 0 and draws > 0):
            raise ValueError(f"beta_bernoulli: found alpha={alpha}, beta={beta}, draws={draws}, expected positive")
        self.alpha, self.beta, self.draws = alpha, beta, draws
        self.seed = 0
        self.counts: dict[str, tuple[float, float]] = {}  # arm → (successes, failures)
        self._drawn: dict[str, F64] = {}  # a cache

    def pmf(self, batch: Batch) -> F64:
        """Returns each candidate's share of the posterior draws that it wins, (B, K)."""
        if len(self._drawn) > MOST_DRAWN:  # ids of inline arms are without number
            self._drawn.clear()
        used = np.unique(batch.arm[batch.mask])
        drawn = np.zeros((len(batch.catalogue.ids), self.draws))
        for row in used:
            drawn[row] = self._draws_of(batch.catalogue.ids[row])
        scores = np.moveaxis(drawn[batch.arm], 2, 0)
        return exploration.votes(scores if batch.price is None else scores - batch.price, batch.mask)

    def _draws_of(self, arm: str) -> F64:
        if arm not in self._drawn:
            won, lost = self.counts.get(arm, (0.0, 0.0))
            rng = np.random.default_rng([self.seed, *arm.encode()])
            self._drawn[arm] = rng.beta(self.alpha + won, self.beta + lost, size=self.draws)
        return self._drawn[arm]

    def learn(self, log: Iterable[Interactions], *, seed: int = 0) -> Self:
        """Counts successes and failures by arm, anew."""
        learnt = type(self)(**self._parameters())
        learnt.seed = seed
        for chunk in log:
            if len(chunk) and not (chunk.reward.min() >= 0 and chunk.reward.max() <= 1):
                raise ValueError("reward: found a value outside [0, 1], expected 0/1 or shares for beta_bernoulli")
            arm = chunk.batch.arm[np.arange(len(chunk)), chunk.chosen]
            A = len(chunk.batch.catalogue.ids)
            won = np.bincount(arm, chunk.weight * chunk.reward, minlength=A)
            lost = np.bincount(arm, chunk.weight * (1 - chunk.reward), minlength=A)
            for row in np.unique(arm):
                w, n = learnt.counts.get(chunk.batch.catalogue.ids[row], (0.0, 0.0))
                learnt.counts[chunk.batch.catalogue.ids[row]] = (w + float(won[row]), n + float(lost[row]))
        return learnt

    def _parameters(self) -> dict[str, Any]:
        return {"alpha": self.alpha, "beta": self.beta, "draws": self.draws}

    def save(self, folder: Path) -> None:
        """Writes the counts into `folder`."""
        arms = sorted(self.counts)
        more = {"seed": self.seed, "arms": arms}
        counts = np.array([self.counts[arm] for arm in arms], dtype=np.float64).reshape(-1, 2)
        persistence.write(folder, self.name, self._parameters(), {"counts": counts}, **more)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Reads the policy from `folder`."""
        parameters, arrays, more = persistence.read(folder)
        policy = cls(**parameters)
        policy.seed = more["seed"]
        policy.counts = {arm: (float(w), float(n)) for arm, (w, n) in zip(more["arms"], arrays["counts"], strict=True)}
        return policy
