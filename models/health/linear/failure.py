"""Is the reward linear in what the policy reads? A paired test on rows that neither model has seen, and what it costs.

Each third of the latest rows (by unit where units repeat, else by time) is predicted by the two nested models of the
other two thirds. The failure is found where the nonlinear model's squared error is lower by CERTAIN standard errors,
counted by unit, *and* acting on it is worth something: the doubly-robust difference of the two greedy policies on the
same rows is above 0 by its 95 % interval (Dudík, Langford & Li 2011, eq. 2). Where a linear model is right, the first
alone happens in less than 1 of 30,000 looks (the normal law's tail at 4); the second keeps a better calibrated model
that would show the same arms from being sold as a gain. How often both happen is counted in models/HEALTH.md.

Beside them stands what twice the rows are worth: the same difference between the linear model's policy and that of a
linear model of half the rows. Where even its upper bound is below LITTLE of the reward, the value has stopped growing
with the data; that is wrong in one of forty looks at a value which grows by LITTLE. It is told, and decides nothing: a
linear policy that is right stops growing, too, once it has learnt enough.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np

from croupier.features.batch import F64, I64, Interactions
from croupier.models.health.linear.nested import Nested
from croupier.models.health.linear.unexplained import Missed, missed
from croupier.models.ope.reward_model import fold_of

ROWS = 20_000  # the latest ones
CANDIDATES = 400_000  # of these rows together: many arms are looked at in fewer rows
LEAST = 500
FOLDS = 3
CERTAIN = 4.0  # standard errors
Z95 = 1.96
LITTLE = 0.05  # of the reward a decision


@dataclass(frozen=True, kw_only=True)
class LinearFit:
    """What `rows` rows from `since` on (UTC µs) say. `loss` is the held-out squared error of the linear model,
    `bent_loss` of the nonlinear one, `better` their difference in standard errors; `gain` with its 95 % interval [low,
    high] is what the nonlinear model's greedy policy earns more a decision than the linear one's, on top of `reward` a
    decision; `growth` within [growth_low, growth_high] is what twice the rows earn the linear policy more (None in what
    older versions kept); `features` and `pairs` say where the linear model's residuals show it, the largest first."""

    rows: int
    since: int
    loss: float
    bent_loss: float
    better: float
    gain: float
    low: float
    high: float
    reward: float
    growth: float | None = None
    growth_low: float | None = None
    growth_high: float | None = None
    features: tuple[Missed, ...] = ()
    pairs: tuple[Missed, ...] = ()

    @property
    def failed(self) -> bool:
        """True if the linear model surely misses something that is worth having."""
        return self.better >= CERTAIN and self.low > 0

    @property
    def flat(self) -> bool:
        """True if the linear policy's value has surely stopped growing with the data."""
        return self.growth_high is not None and self.growth_high < LITTLE * self.reward

    @property
    def lower(self) -> float:
        """By which share the nonlinear model's loss is lower."""
        return 1 - self.bent_loss / self.loss if self.loss > 0 else 0.0

    def to_dict(self) -> dict[str, Any]:
        """The fit as JSON."""
        return asdict(self) | {"failed": self.failed, "flat": self.flat, "lower": self.lower}

    @classmethod
    def from_dict(cls, found: dict[str, Any]) -> Self:
        """Reads what `to_dict` made."""
        missed_ones = {name: tuple(Missed(**m) for m in found[name]) for name in ("features", "pairs")}
        return cls(**{k: v for k, v in found.items() if k not in {"failed", "flat", "lower"}} | missed_ones)


def examine(log: Interactions, columns: Sequence[str] = (), *, seed: int = 0) -> LinearFit | None:
    """Examines the latest rows of a log (in the order of time). `columns` (d_u + d_p) name those of the context and of
    the pair. Returns None where rows are too few, or all rewards are the same."""
    log = latest(log)
    if len(log) < LEAST or np.ptp(log.reward) == 0 or log.batch.mask.shape[1] < 2:
        return None
    linear, bent, half = _held_out(log, seed)
    i = np.arange(len(log))
    residual = log.reward - linear[i, log.chosen]
    errors = [np.square(log.reward - q[i, log.chosen]) for q in (linear, bent)]
    loss, bent_loss = (_mean(log, e) for e in errors)
    error = _error(log, errors[0] - errors[1])
    gain, low, high = _difference(log, bent, linear, by=bent)
    growth, growth_low, growth_high = _difference(log, linear, half, by=bent)
    features, pairs = missed(log, residual, columns)
    return LinearFit(
        rows=len(log),
        since=int(log.at.min()),
        loss=loss,
        bent_loss=bent_loss,
        better=(loss - bent_loss) / error if error > 0 else 0.0,
        gain=gain,
        low=low,
        high=high,
        reward=_mean(log, log.reward),
        growth=growth,
        growth_low=growth_low,
        growth_high=growth_high,
        features=features,
        pairs=pairs,
    )


def latest(log: Interactions) -> Interactions:
    """Returns the rows that are looked at."""
    rows = min(ROWS, CANDIDATES // max(log.batch.mask.shape[1], 1))
    return log[max(0, len(log) - rows) :]


def _held_out(log: Interactions, seed: int) -> F64:
    """Returns (3, n, K): each model's, every row from a fit that did not see its third."""
    fold, rng = fold_of(log, FOLDS), np.random.default_rng(seed)
    out = np.full((3, *log.batch.mask.shape), -np.inf)
    for k in range(FOLDS):
        inside, rest = np.flatnonzero(fold == k), np.flatnonzero(fold != k)
        if len(inside) and len(rest):
            out[:, inside] = Nested.fit(log[rest], rng).predict(log[inside])
    return out


def _difference(log: Interactions, one: F64, other: F64, *, by: F64) -> tuple[float, float, float]:
    """Returns the doubly-robust difference of the greedy policies of two models (n, K), and its 95 % interval. `by`:
    the nonlinear model's q̂, which leaves less to the weights where it is the better one."""
    i = np.arange(len(log))

    def value(arm: I64) -> F64:
        correction = (log.reward - by[i, log.chosen]) / log.propensity
        return np.asarray(by[i, arm] + np.where(log.chosen == arm, correction, 0.0))

    worth = value(one.argmax(axis=1)) - value(other.argmax(axis=1))
    mean, wide = _mean(log, worth), Z95 * _error(log, worth)
    return mean, mean - wide, mean + wide


def _mean(log: Interactions, x: F64) -> float:
    return float(log.weight @ x / log.weight.sum())


def _error(log: Interactions, x: F64) -> float:
    """Returns the standard error of a weighted mean, rows of one unit together."""
    part = log.weight * (x - _mean(log, x))
    sums = np.bincount(log.unit_number, weights=part)
    return float(np.sqrt(np.square(sums).sum()) / log.weight.sum())
