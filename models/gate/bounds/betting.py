"""A bound that holds at every row without a normal limit: bets against "the candidate is no better".

With w = π / p of the drawn arm and any baseline b that was fixed before, X = (w₁ − w₀)(r − b) has the row's lift as its
mean, since E[w₁ − w₀] = 0; and X ≥ −B where weights and declared rewards are bounded. Whoever believes that the lift
is at most m must think ∏ (1 + λ (X − m)), 0 < λ < 1 / (B + m), unfair to us: its expected wealth never exceeds 1, so it
reaches 1/α at any time with probability at most α (Ville 1939). The m that are refuted lie below a lower bound
(Waudby-Smith & Ramdas 2024; for logs Karampatziakis, Mineiro & Ramdas 2021, Waudby-Smith et al. arXiv 2210.10768).

A normal limit is symmetric; on a champion's log X is bounded closely below and far-reaching above, and a bet uses that.
b, B and the variance come from the first BURN_IN rows, which are not bet on; from there on each λ is a constant. So the
bound speaks of the *mean* lift even where it drifts: ∏ (1 + λ(Δ_t − m)) ≤ exp(λ Σ (Δ_t − m)) ≤ 1 while that mean is at
most m. A constant λ cannot know how large the lift will be: PARTS of the wealth bet on lifts of EFFECTS times what a
decision earns. A row whose policies could have drawn a weight beyond B counts as the worst lift that there is, minus
the rewards' width, whatever came: so nothing is assumed of rows to come.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, isfinite
from typing import Self

import numpy as np

from croupier.features.batch import F64, I64
from croupier.features.encoded.on_disk import blocks, zeros
from croupier.models.gate.bounds.steadied import steadied
from croupier.models.ope.estimators import Rounds, jackknife_effect

BURN_IN = 500
EFFECTS = (0.04, 0.10, 0.25, 0.60)  # lifts, of what a decision earns, that a part of the wealth is bet on
PARTS = (0.1, 0.3, 0.3, 0.3)  # of the wealth
CAP = 0.95  # of the largest λ that leaves a wealth above zero
ROOM = 1.25  # times the reach of the first rows: a little more than they had is no surprise
ACCURACY = 1e-6  # of a bound, of the rewards' width


@dataclass(frozen=True, kw_only=True, eq=False)
class LiftBets:
    """values (n,): X of the rows after the first, in time order; thinning (n,) of the same, 1 on average in the first
    rows; stakes (k,): λ of each part; width of the rewards; dispersion: rows of a unit resemble each other, and
    log-wealth is divided by it (quasi-likelihood, McCullagh & Nelder 1989, §9: exact at 1)."""

    values: F64
    thinning: F64
    stakes: F64
    width: float
    dispersion: float = 1.0

    @classmethod
    def of(
        cls,
        candidate: Rounds,
        champion: Rounds,
        *,
        reach: F64,
        spread: F64,
        declared: tuple[float, float],
        unit: I64 | None = None,
    ) -> Self | None:
        """LiftBets on rows in time order; `reach` (n, 2) and `spread` (n, 3) are `reach()` and `divergence()` of
        gate/bounds/steadied.py. None where there is nothing to bet on: too few rows, no declared range, a reward
        outside it, policies alike."""
        low, high = declared
        reward = candidate.reward
        bounded = isfinite(high - low) and reward.min() >= low and reward.max() <= high
        if len(candidate) <= BURN_IN or not bounded or not reach.any():
            return None
        first, once = slice(0, BURN_IN), candidate.thinning[:BURN_IN].mean()
        baseline = float(np.average(reward[first], weights=candidate.thinning[first] / once))

        def lowest(rows: slice) -> F64:
            far = np.maximum(reach[rows, 0] * (baseline - low), reach[rows, 1] * (high - baseline))
            return np.asarray(far * (candidate.thinning[rows] / once))

        most = ROOM * float((candidate.thinning[first] / once).max())
        farthest = max(ROOM * float(lowest(first).max()), most * (high - low))
        values, thinning = zeros((2, len(candidate)))
        for rows in blocks(len(candidate)):
            gap = candidate[rows].weight - champion[rows].weight
            values[rows] = np.where(lowest(rows) <= farthest, gap * (reward[rows] - baseline), low - high)
            thinning[rows] = np.minimum(candidate.thinning[rows] / once, most)
        # a mean of up to `width` is taken from each value: no factor reaches zero
        stakes = _stakes(values[first], spread[first], reward[first], low)
        stakes = np.minimum(stakes, CAP / (farthest + most * (high - low)))
        rest = slice(BURN_IN, None)
        return cls(
            values=values[rest],
            thinning=thinning[rest],
            stakes=stakes,
            width=high - low,
            dispersion=1.0 if unit is None else jackknife_effect(values[rest], unit[rest]),
        )

    def log_wealth(self, mean: float, ends: Sequence[int] = ()) -> F64:
        """Log-wealth of all parts against a mean lift of at most `mean`, after each number of rows in `ends` (all of
        them by default)."""
        if len(ends):
            total = np.cumsum(self._steps(mean, slice(None)), axis=1)[:, np.asarray(ends) - 1]
        else:
            each = (self._steps(mean, rows).sum(axis=1, keepdims=True) for rows in blocks(len(self.values)))
            total = sum(each, np.zeros((len(self.stakes), 1)))
        parts = total / self.dispersion + np.log(PARTS)[:, None]
        most = parts.max(axis=0)
        return np.asarray(most + np.log(np.exp(parts - most).sum(axis=0)))

    def _steps(self, mean: float, rows: slice) -> F64:
        return np.asarray(np.log(1.0 + self.stakes[:, None] * (self.thinning[rows] * (self.values[rows] - mean))))

    def lower(self, alpha: float) -> float:
        """Every mean lift below it is refuted with error alpha; wealth falls as the mean rises."""
        from scipy.optimize import brentq  # takes 0.3 s, which every task and command would pay

        def short(mean: float) -> float:
            return float(np.log(1.0 / alpha) - self.log_wealth(mean)[0])

        if short(-self.width) > 0.0:
            return -inf
        if short(self.width) <= 0.0:
            return self.width
        found = float(brentq(short, -self.width, self.width, xtol=ACCURACY * self.width, rtol=ACCURACY))
        return found if short(found) <= 0.0 else found - 2 * ACCURACY * self.width


def _stakes(values: F64, spread: F64, reward: F64, low: float) -> F64:
    """λ = μ / σ² is the best bet on a lift of μ (Kelly 1956). The variance is the steadied one of the first rows."""
    typical = max(float(reward.mean()) - low, 1.0 / len(reward))
    return np.array(EFFECTS) * typical / max(steadied(values, spread, reward).variance, 1e-300)
