"""What decisions were surely worth beside (1 − α) of the baseline's worth: a bound of a sum that holds at all times.

A request is decided by p = (1 − s) b + s π: the baseline b, and the policy π with the share s. With rewards r in [0, 1]
its worth beside the promise, over the draw of its arm, is

    d = ⟨p, r⟩ − (1 − α) ⟨b, r⟩ = (α − s) ⟨b, r⟩ + s ⟨π, r⟩          ≥ −(s − α)⁺, whatever comes: a share of α is free

and X = r_a (1 − (1 − α) b_a / p_a) of the arm a that was drawn has the mean d. As b_a ≤ p_a / (1 − s), X is at least
1 − (1 − α) / (1 − s) or 0, which is known before the draw. For a constant λ with 1 + λX > 0,

    M = ∏ (1 + λX) / (1 + λd)      is a martingale, so M < 1/δ at all times with probability 1 − δ (Ville 1939); then
    λ Σ d  ≥  Σ log(1 + λd)  >  Σ log(1 + λX) − log(1/δ).

These are bets as in models/gate/bounds (Waudby-Smith & Ramdas 2024), here of a sum whose terms may drift as they like.
Several λ share δ: parts of one wealth, of which one is gone for good where its λ is too large for a row.

Nothing is assumed of contexts and rewards but their range; only that the arms were drawn as the log says. Of decisions
that are not counted yet the worst is taken, so the promise is kept while what they may cost stays within

    budget = lower bound of Σ d + Σ (s − α)⁺ of the decisions that were counted.
"""

from dataclasses import dataclass, replace
from math import inf, log
from typing import Any, Self

import numpy as np

from croupier.features.batch import F64

BETS = 4.0 ** np.arange(-7, 4)  # λ, of rewards in [0, 1]
HALVINGS = 60


@dataclass(frozen=True, kw_only=True, eq=False)
class RunningValue:
    """Sums over all decisions that were counted: `rows`, how many; `value` Σ r and `baseline` Σ r b/p, in highest
    rewards; `explored` Σ s; `used` Σ (s − α)⁺; `growth` (11,) Σ log(1 + λX) of each bet, −∞ for one that is gone.

    Raises ValueError for shares outside (0, 1)."""

    alpha: float
    delta: float
    rows: float = 0.0
    value: float = 0.0
    baseline: float = 0.0
    explored: float = 0.0
    used: float = 0.0
    growth: tuple[float, ...] = (0.0,) * len(BETS)

    def __post_init__(self) -> None:
        for name in ("alpha", "delta"):
            if not 0 < getattr(self, name) < 1:
                raise ValueError(f"{name}: found {getattr(self, name)}, expected a share between 0 and 1")

    def counting(self, reward: F64, ratio: F64, share: F64, kept: F64) -> Self:
        """With n decisions more, in order of time. (n,) each: `reward` in [0, 1], `ratio` b_a / p_a, `share` s below 1,
        `kept` the probability with which the log kept the row: it stands for others.

        Raises ValueError where a reward or a ratio is none that such a decision can have."""
        if not ((reward >= 0) & (reward <= 1)).all():  # NaN is outside, too
            raise ValueError(f"reward: found {reward.min():g} to {reward.max():g}, expected 0 to 1, of the highest")
        if not ((share >= 0) & (share < 1) & (kept > 0) & (kept <= 1)).all():
            raise ValueError("share: found one outside [0, 1), or a row that no log keeps, expected neither")
        if not ((ratio >= 0) & (ratio * (1 - share) <= 1 + 1e-6)).all():
            raise ValueError(f"ratio: found {ratio.max():g}, expected at most 1 / (1 − share), as the baseline is in p")
        least = np.minimum(1 - (1 - self.alpha) / (1 - share), 0.0) / kept
        X = np.maximum(reward * (1 - (1 - self.alpha) * ratio) / kept, least)
        with np.errstate(invalid="ignore", divide="ignore"):
            steps = np.log1p(BETS[:, None] * X)  # (11, n)
        alive = (1 + BETS[:, None] * least > 0).all(axis=1)
        grown = np.where(alive, np.array(self.growth) + np.where(alive[:, None], steps, 0.0).sum(axis=1), -inf)
        return replace(
            self,
            rows=self.rows + float((1 / kept).sum()),
            value=self.value + float((reward / kept).sum()),
            baseline=self.baseline + float((reward * ratio / kept).sum()),
            explored=self.explored + float((share / kept).sum()),
            used=self.used + float(np.maximum(share - self.alpha, 0.0).sum()),
            growth=tuple(grown.tolist()),
        )

    @property
    def lower(self) -> float:
        """The lower bound of Σ d, in highest rewards: with those of all times it holds with probability 1 − delta."""
        growth, n = np.array(self.growth), len(BETS)
        alive = np.isfinite(growth)
        if not self.rows:
            return 0.0
        if not alive.any():
            return -inf
        wealth, bets = growth[alive] - log(1 / self.delta), BETS[alive]
        low, high = float(((wealth - log(n)) / bets).max()), float((wealth / bets).max())
        for _ in range(HALVINGS):  # the wealth of all parts falls as the sum rises
            middle = (low + high) / 2
            parts = wealth - log(n) - bets * middle
            if parts.max() + log(np.exp(parts - parts.max()).sum()) >= 0:
                low = middle
            else:
                high = middle
        return low

    @property
    def budget(self) -> float:
        """What all decisions together, counted or not, may have cost by Σ (s − α)⁺; below 0: none may."""
        return self.lower + self.used

    def to_body(self) -> dict[str, Any]:
        """What `of_body` reads; a bet that is gone is None."""
        names = ("alpha", "delta", "rows", "value", "baseline", "explored", "used")
        growth = [None if each == -inf else each for each in self.growth]
        return {name: getattr(self, name) for name in names} | {"growth": growth}

    @classmethod
    def of_body(cls, body: dict[str, Any]) -> Self:
        """Reads what `to_body` made. Raises ValueError for other names, for what is no number, and for another number
        of bets."""
        names = ("alpha", "delta", "rows", "value", "baseline", "explored", "used")
        if not isinstance(body, dict) or sorted(body) != sorted((*names, "growth")):
            raise ValueError(f"running value: found {str(body)[:60]}, expected {', '.join(names)} and growth")
        growth = body["growth"] if isinstance(body["growth"], list) else []
        if len(growth) != len(BETS):
            raise ValueError(f"growth: found {len(growth)} bets, expected {len(BETS)}")
        values = [*(body[name] for name in names), *(each for each in growth if each is not None)]
        if odd := [each for each in values if type(each) not in (int, float)]:
            raise ValueError(f"running value: found {odd[0]!r}, expected numbers")
        return cls(**body | {"growth": tuple(-inf if each is None else each for each in growth)})
