"""Do predicted rewards come true? A reliability table, the calibration error beyond chance, and the sharpness.

With p the prediction and r the reward of a row, bins hold equal numbers of rows by p. Of bin b: d_b = mean(r − p) and
its standard error s_b, rows of one unit together. Then

    ECE = Σ_b (n_b/n) |d_b|       chance = Σ_b (n_b/n) s_b √(2/π),  its mean where every prediction is right
    sharpness = Var p / Var r     skill = 1 − Σ(r − p)² / Σ(r − r̄)²

(Naeini, Cooper & Hauskrecht 2015, "Obtaining well calibrated probabilities using Bayesian binning"; the mean of |N(0,
s²)| is s √(2/π); skill: Murphy 1973, "A new vector partition of the probability score".) A calibration error alone
costs nothing where arms keep their order, hence it is shown. What is watched is skill: where it is surely below 0, the
mean reward would have been the better prediction of every row. Standard errors of few rewards, of which one more would
change everything, are too small: `worse` is asked of TELLING units with a reward other than the most frequent one.
"""

from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np

from croupier.features.batch import F64, I64, Interactions

BINS = 10
LEAST = 500  # rows, without which nothing is said
Z95 = 1.96
TELLING = 50  # units with a reward other than the most frequent one
CERTAIN = 4.0  # standard errors: 1 of 30,000 looks at a prediction that is as good as the mean


@dataclass(frozen=True, kw_only=True)
class ReliabilityBin:
    """`rows` of similar predictions: their mean, and the mean reward with its 95 % interval."""

    rows: int
    predicted: float
    reward: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class RewardCalibration:
    """What `rows` predictions by `who`, from `since` on (UTC µs), came to. `error`: the expected calibration error;
    `chance`: what it would be, on average, were every prediction right; `worse`: by how many standard errors the
    squared error is above that of the mean reward; 0 where too few units tell."""

    who: str
    rows: int
    since: int
    bins: tuple[ReliabilityBin, ...]
    error: float
    chance: float
    sharpness: float
    skill: float
    worse: float

    @property
    def beyond(self) -> float:
        """The calibration error with what chance adds taken off."""
        return max(self.error - self.chance, 0.0)

    @property
    def useless(self) -> bool:
        """True if the mean reward is surely the better prediction."""
        return self.worse >= CERTAIN

    def to_dict(self) -> dict[str, Any]:
        """The calibration as JSON."""
        return asdict(self) | {"beyond": self.beyond, "useless": self.useless}

    @classmethod
    def from_dict(cls, found: dict[str, Any]) -> Self:
        """Reads what `to_dict` made."""
        own = {k: v for k, v in found.items() if k not in {"beyond", "useless"}}
        return cls(**own | {"bins": tuple(ReliabilityBin(**each) for each in found["bins"])})


def calibration(who: str, log: Interactions, predicted: F64) -> RewardCalibration | None:
    """Returns how the predictions (n,) of a log's rewards came true; None of fewer than LEAST rows, or where rewards do
    not vary."""
    reward, weight = log.reward, log.weight
    if len(log) < LEAST or np.ptp(reward) == 0:
        return None
    place = _bins(predicted)
    parts = [log[place == k] for k in range(int(place.max()) + 1)]
    made = [_bin(part, predicted[place == k]) for k, part in enumerate(parts)]
    shares = np.array([part.weight.sum() for part in parts]) / weight.sum()
    errors, usual = (reward - predicted) ** 2, (reward - np.average(reward, weights=weight)) ** 2
    more, apart = _mean(log, errors - usual)
    return RewardCalibration(
        who=who,
        rows=len(log),
        since=int(log.at.min()),
        bins=tuple(row for row, _ in made),
        error=float(shares @ np.array([abs(row.reward - row.predicted) for row, _ in made])),
        chance=float(shares @ np.array([wide for _, wide in made]) * np.sqrt(2 / np.pi)),
        sharpness=_variance(predicted, weight) / _variance(reward, weight),
        skill=1 - float(np.average(errors, weights=weight) / np.average(usual, weights=weight)),
        worse=more / apart if apart > 0 and _telling(log) >= TELLING else 0.0,
    )


def _telling(log: Interactions) -> int:
    """Returns how many units have a reward other than the most frequent one."""
    values, counts = np.unique(log.reward, return_counts=True)
    return len(np.unique(log.unit[log.reward != values[counts.argmax()]]))


def _bins(predicted: F64) -> I64:
    """Returns (n,) which of at most BINS bins of equal size each prediction is in; equal ones are in one bin."""
    edges = np.unique(np.quantile(predicted, np.arange(1, BINS) / BINS))
    return np.unique(np.searchsorted(edges, predicted, side="right"), return_inverse=True)[1].astype(np.int64)


def _bin(part: Interactions, predicted: F64) -> tuple[ReliabilityBin, float]:
    """Returns a row of the table, and the standard error of its mean of r − p."""
    mean, wide = _mean(part, part.reward)
    found = ReliabilityBin(
        rows=len(part),
        predicted=float(np.average(predicted, weights=part.weight)),
        reward=mean,
        low=mean - Z95 * wide,
        high=mean + Z95 * wide,
    )
    return found, _mean(part, part.reward - predicted)[1]


def _mean(log: Interactions, x: F64) -> tuple[float, float]:
    """Returns a weighted mean over rows (n,) and its standard error, rows of one unit together."""
    mean = float(np.average(x, weights=log.weight))
    sums = np.bincount(log.unit_number, weights=log.weight * (x - mean))
    return mean, float(np.sqrt(np.square(sums).sum()) / log.weight.sum())


def _variance(x: F64, weight: F64) -> float:
    return float(np.average((x - np.average(x, weights=weight)) ** 2, weights=weight))
