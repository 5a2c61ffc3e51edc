"""Is the candidate better or worse? A bet against each answer, which may be looked at whenever one likes.

A unit sees the candidate (A = 1) with known probability s, whatever its reward would be, so for any baseline b that was
fixed before the decision

    ξ = (A − s)(y − b)        has mean s(1 − s)Δ,  Δ = reward per decision, candidate − champion.

Whoever believes Δ ≥ δ must think the bet  ∏ (1 − g(ξ − s(1 − s)δ)),  g > 0, unfair to us: its expected wealth never
exceeds 1, so it reaches 1/α at any time with probability at most α (Ville 1939). Wealth above 1/α refutes Δ ≥ δ; the δ
that are not refuted are a confidence sequence. For clicks with b the click rate the product is the likelihood ratio, so
no test of its size is much quicker (Wald 1945; two samples: Turner, Ly & Grünwald 2024; bounded means: Waudby-Smith &
Ramdas 2024). `g` mixes a few effect sizes. Rewards need only be bounded; no normality, no variance is assumed.

A unit's own decisions resemble one another. Log-wealth is then divided by the design effect φ ≥ 1 (quasi-likelihood,
McCullagh & Nelder 1989, §9): exact where each unit decides once, asymptotic where it returns.

tests/serving/evidence/plain_bets.py has the same one decision at a time, and is what this file is tested against.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from croupier.features.batch import F64, Bool
from croupier.models.ope.estimators import design_effect

HARM_EFFECTS = (0.25, 0.45)  # relative to the champion's reward; mixed in equal parts
GAIN_EFFECTS = (0.04, 0.10, 0.25)
BLOCK = 1000  # decisions between two updates of the baseline


@dataclass(frozen=True, kw_only=True, eq=False)
class Bets:
    """Rows in time order. `xi`, `v` = s(1 − s), `baseline` and `scale` (what a relative effect of 1 bets) are (n,)."""

    xi: F64
    v: F64
    baseline: F64
    scale: F64
    dispersion: float = 1.0
    width: float = 1.0  # of the reward's range

    def log_wealth(self, delta: float | F64, *, harm: bool, ends: Sequence[int] = ()) -> F64:
        """Log-wealth against Δ ≥ delta (harm) or Δ ≤ delta, after each number of rows in `ends` (default: all)."""
        effects = HARM_EFFECTS if harm else GAIN_EFFECTS
        steps = np.stack([increments(self.xi, self.v, self.scale, e, delta, harm=harm) for e in effects])
        path = np.concatenate([np.zeros((len(effects), 1)), np.cumsum(steps, axis=1)], axis=1)
        return mix(path[:, list(ends) or [-1]] / self.dispersion)

    def head(self, n: int) -> Self:
        """The first n rows, as they stood then."""
        return replace(self, xi=self.xi[:n], v=self.v[:n], baseline=self.baseline[:n], scale=self.scale[:n])

    def upper(self, alpha: float) -> float:
        """Every Δ above it is refuted at level alpha."""
        return self._edge(alpha, harm=True)

    def lower(self, alpha: float) -> float:
        """Every Δ below it is refuted at level alpha."""
        return self._edge(alpha, harm=False)

    def _edge(self, alpha: float, *, harm: bool) -> float:
        """Bisection: wealth against Δ ≥ δ grows with δ, against Δ ≤ δ it falls."""
        inside, outside = (-self.width, self.width) if harm else (self.width, -self.width)
        for _ in range(24):
            middle = (inside + outside) / 2
            refuted = self.log_wealth(middle, harm=harm)[-1] >= np.log(1 / alpha)
            inside, outside = (inside, middle) if refuted else (middle, outside)
        return outside


def bets(candidate: Bool, share: F64, score: F64, unit: NDArray[np.uint64], *, width: float) -> Bets:
    """Makes the bets from rows in time order: who saw the candidate, with what probability, and what came of it (n,).

    Baseline and scale of a block come from the blocks before it; the first block is its own.
    """
    baseline, scale = predictable(score, width)
    xi = (candidate - share) * np.clip(score - baseline, -width, width)
    effect = design_effect(xi, np.unique(unit, return_inverse=True)[1])
    return Bets(xi=xi, v=share * (1 - share), baseline=baseline, scale=scale, dispersion=effect, width=width)


def predictable(score: F64, width: float) -> tuple[F64, F64]:
    """Returns (n,) baseline and bet scale of each row. The scale is μ/σ², where a bet of a relative effect e is optimal
    for a difference e·μ, within what keeps every factor positive for rewards in a range of this width."""
    n, starts = len(score), np.arange(0, max(len(score), 1), BLOCK)
    counts = np.minimum(starts + BLOCK, n)
    total, squares = np.cumsum(score), np.cumsum(np.square(score))
    known = np.concatenate([counts[:1], starts[1:]])  # rows that the block's baseline knows
    mean = total[known - 1] / known if n else np.zeros(1)
    variance = squares[known - 1] / known - np.square(mean) if n else np.ones(1)
    block = np.arange(n) // BLOCK
    return mean[block], bet_scale(mean, variance, width)[block]


def bet_scale(mean: F64, variance: F64, width: float) -> F64:
    """Returns max(|μ|, σ/10) / σ², at most 1.6 / width."""
    variance = np.maximum(variance, 1e-12)
    return np.minimum(np.maximum(np.abs(mean), 0.1 * np.sqrt(variance)) / variance, 1.6 / width)


def increments(xi: F64, v: F64, scale: F64, effect: float, delta: float | F64, *, harm: bool) -> F64:
    """Log of each factor of the bet; shapes broadcast."""
    steps: F64 = np.log1p((-effect if harm else effect) * scale * (xi - v * delta))
    return steps


def mix(log_wealths: F64) -> F64:
    """Wealth of equal parts in each bet: (k, …) → (…)."""
    top = log_wealths.max(axis=0)
    return np.asarray(top + np.log(np.exp(log_wealths - top).mean(axis=0)))
