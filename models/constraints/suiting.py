"""Whom arms suit: the reward that they would have had in each request, whatever was shown there.

Where arms are rarely shown, each reward there counts for many requests, and a sum of rewards over probabilities is
mostly noise. So the reward is regressed on the request, over the decisions that showed the arms, each by the inverse of
the probability of showing them, at most MOST_WEIGHT: with those weights the totals of each group, a feature of the
request, are those of the log, so that only what differs within a group rests on the model (Robins, Sued, Lei-Gomez &
Rotnitzky 2007, "Comment: performance of double-robust estimators when inverse probability weights are highly
variable").
The regression is logistic, of rewards as parts of the highest one (Papke & Wooldridge 1996), with a ridge.

How far other luck would have led is known from resampled decisions (Poisson bootstrap: Chamandy, Muralidharan, Najmi &
Naidu 2012).
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from croupier.features.batch import F64, Floats

MOST_WEIGHT = 10.0
RIDGE = 1.0  # in decisions, of standardised features
RESAMPLED = 8
STEPS = 60  # of L-BFGS, at most
LEAST = 1e-9  # expected reward: what none is taken for


@dataclass(frozen=True, kw_only=True, eq=False)
class ShownDecisions:
    """Decisions that showed the arms: `x` (n, d) the encoded requests, `reward` (n,) as a part of the highest one,
    `mass` (n,) the probability with which the arms were shown, `kept` (n,) with which the log kept the decision.

    Raises ValueError for rewards outside [0, 1], and for probabilities outside (0, 1]."""

    x: Floats
    reward: F64
    mass: F64
    kept: F64

    def __post_init__(self) -> None:
        if not ((self.reward >= 0) & (self.reward <= 1)).all():
            raise ValueError("reward: found one outside [0, 1], or no number, expected parts of the highest reward")
        for name in ("mass", "kept"):
            p = getattr(self, name)
            if not ((p > 0) & (p <= 1 + 1e-9)).all():
                raise ValueError(f"{name}: found {p.min():g} to {p.max():g}, expected probabilities above 0")

    def suits(self, x: Floats) -> F64:
        """(1 + RESAMPLED, n) of requests `x` (n, d): the expected reward of the arms, and what resampled decisions
        would have said."""
        middle, scale = self.x.mean(axis=0), self.x.std(axis=0)
        known = scale > 0
        rows, asked = (
            np.column_stack([np.ones(len(each)), (each[:, known] - middle[known]) / scale[known]])
            for each in (self.x, x)
        )
        weight, rng = np.minimum(1 / self.mass, MOST_WEIGHT) / self.kept, np.random.default_rng(0)
        first = _fitted(rows, self.reward, weight, np.zeros(rows.shape[1]))
        times = rng.poisson(1.0, (RESAMPLED, len(rows)))
        found = [first, *(_fitted(rows, self.reward, weight * each, first) for each in times)]
        return np.asarray(np.maximum(expit(np.stack(found) @ asked.T), LEAST))


def _fitted(x: F64, reward: F64, weight: F64, begun: F64) -> F64:
    """(d,) the coefficients of the weighted ridge regression; the first, of the constant, has no ridge.
    The search begins at `begun`."""
    from scipy.optimize import minimize  # takes 0.2 s, which every command would pay

    ridge = np.full(x.shape[1], RIDGE)
    ridge[0] = 0.0

    def loss(b: F64) -> tuple[float, F64]:
        z = x @ b
        value = weight @ (np.logaddexp(0.0, z) - reward * z) + (ridge * b**2).sum() / 2
        return float(value), x.T @ (weight * (expit(z) - reward)) + ridge * b

    found = minimize(loss, begun, jac=True, method="L-BFGS-B", options={"maxiter": STEPS})
    return np.asarray(found.x)
