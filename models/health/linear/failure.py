"""Is the reward linear in what the policy reads? A paired test on rows that neither model has seen, and what it costs.

Each third of the latest rows (by unit where units repeat, else by time) is predicted by the two nested models of the
other two thirds. The failure is found where the nonlinear model's squared error is lower by CERTAIN standard errors,
counted by unit, *and* acting on it is worth something: the doubly-robust difference of the two greedy policies on the
same rows is above 0 by its 95 % interval (Dudík, Langford & Li 2011, eq. 2). Where a linear model is right, the first
alone happens in less than 1 of 30,000 looks (the normal law's tail at 4); the second keeps a better calibrated model
that would show the same arms from being sold as a gain. How often both happen is counted in models/HEALTH.md.
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


@dataclass(frozen=True, kw_only=True)
class LinearFit:
    """What `rows` rows from `since` on (UTC µs) say. `loss` is the held-out squared error of the linear model,
    `bent_loss` of the nonlinear one, `better` their difference in standard errors; `gain` with its 95 % interval [low,
    high] is what the nonlinear model's greedy policy earns more a decision than the linear one's, on top of `reward` a
    decision; `features` and `pairs` say where the linear model's residuals show it, the largest first."""

    rows: int
    since: int
    loss: float
    bent_loss: float
    better: float
    gain: float
    low: float
    high: float
    reward: float
    features: tuple[Missed, ...] = ()
    pairs: tuple[Missed, ...] = ()

    @property
    def failed(self) -> bool:
        """True if the linear model surely misses something that is worth having."""
        return self.better >= CERTAIN and self.low > 0

    @property
    def lower(self) -> float:
        """By which share the nonlinear model's loss is lower."""
        return 1 - self.bent_loss / self.loss if self.loss > 0 else 0.0

    def to_dict(self) -> dict[str, Any]:
        """The fit as JSON."""
        return asdict(self) | {"failed": self.failed, "lower": self.lower}

    @classmethod
    def from_dict(cls, found: dict[str, Any]) -> Self:
        """Reads what `to_dict` made."""
        missed_ones = {name: tuple(Missed(**m) for m in found[name]) for name in ("features", "pairs")}
        return cls(**{k: v for k, v in found.items() if k not in {"failed", "lower"}} | missed_ones)


def examine(log: Interactions, columns: Sequence[str] = (), *, seed: int = 0) -> LinearFit | None:
    """Examines the latest rows of a log (in the order of time). `columns` (d_u + d_p) name those of the context and of
    the pair. Returns None where rows are too few, or all rewards are the same."""
    log = latest(log)
    if len(log) < LEAST or np.ptp(log.reward) == 0 or log.batch.mask.shape[1] < 2:
        return None
    linear, bent = _held_out(log, seed)
    i = np.arange(len(log))
    residual = log.reward - linear[i, log.chosen]
    errors = [np.square(log.reward - q[i, log.chosen]) for q in (linear, bent)]
    loss, bent_loss = (_mean(log, e) for e in errors)
    error = _error(log, errors[0] - errors[1])
    worth = _gain(log, linear, bent)
    gain, wide = _mean(log, worth), Z95 * _error(log, worth)
    features, pairs = missed(log, residual, columns)
    return LinearFit(
        rows=len(log),
        since=int(log.at.min()),
        loss=loss,
        bent_loss=bent_loss,
        better=(loss - bent_loss) / error if error > 0 else 0.0,
        gain=gain,
        low=gain - wide,
        high=gain + wide,
        reward=_mean(log, log.reward),
        features=features,
        pairs=pairs,
    )


def latest(log: Interactions) -> Interactions:
    """Returns the rows that are looked at."""
    rows = min(ROWS, CANDIDATES // max(log.batch.mask.shape[1], 1))
    return log[max(0, len(log) - rows) :]


def _held_out(log: Interactions, seed: int) -> tuple[F64, F64]:
    """Returns (n, K) of each model, every row from a fit that did not see its third."""
    fold, rng = fold_of(log, FOLDS), np.random.default_rng(seed)
    linear, bent = np.full((2, *log.batch.mask.shape), -np.inf)
    for k in range(FOLDS):
        inside, rest = np.flatnonzero(fold == k), np.flatnonzero(fold != k)
        if len(inside) and len(rest):
            linear[inside], bent[inside] = Nested.fit(log[rest], rng).predict(log[inside])
    return linear, bent


def _gain(log: Interactions, linear: F64, bent: F64) -> F64:
    """Returns (n,) the doubly-robust difference of the two greedy policies, by the nonlinear model's q̂: where it is
    the better one, it leaves less to the weights."""
    i = np.arange(len(log))

    def value(arm: I64) -> F64:
        correction = (log.reward - bent[i, log.chosen]) / log.propensity
        return np.asarray(bent[i, arm] + np.where(log.chosen == arm, correction, 0.0))

    return value(bent.argmax(axis=1)) - value(linear.argmax(axis=1))


def _mean(log: Interactions, x: F64) -> float:
    return float(log.weight @ x / log.weight.sum())


def _error(log: Interactions, x: F64) -> float:
    """Returns the standard error of a weighted mean, rows of one unit together."""
    part = log.weight * (x - _mean(log, x))
    sums = np.bincount(log.unit_number, weights=part)
    return float(np.sqrt(np.square(sums).sum()) / log.weight.sum())
