"""Whom arms suit: the reward that they would have had in each request, whatever was shown there.

Where arms are rarely shown, each reward there counts for many requests, and a sum of rewards over probabilities is
mostly noise. So the reward is regressed on the request, over the decisions that showed the arms, each by the inverse of
the probability of showing them, at most MOST_WEIGHT: with those weights the totals of each group are those of the
log, so that only what differs within a group rests on the model (Robins, Sued, Lei-Gomez &
Rotnitzky 2007, "Comment: performance of double-robust estimators when inverse probability weights are highly
variable").
The regression is logistic, of rewards as parts of the highest one (Papke & Wooldridge 1996), with a ridge. It is fitted
to all decisions, and then to each group's with the ridge around what all say (Evgeniou & Pontil 2004, "Regularized
multi-task learning"), since what a feature tells of one group it need not tell of another.

How far other luck would have led is known from resampled decisions (Poisson bootstrap: Chamandy, Muralidharan, Najmi &
Naidu 2012).
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from croupier.features.batch import F64, I64, Floats

MOST_WEIGHT = 10.0
RIDGE = 1.0  # in decisions, of standardised features
NEAR = 1_000.0  # the same, around what all groups say: less follows luck, more what groups have in common
RESAMPLED = 8
STEPS = 60  # of L-BFGS, at most
LEAST = 1e-9  # expected reward: what none is taken for


@dataclass(frozen=True, kw_only=True, eq=False)
class ShownDecisions:
    """Decisions that showed the arms: `x` (n, d) the encoded requests, `reward` (n,) as a part of the highest one,
    `mass` (n,) the probability with which the arms were shown, `kept` (n,) with which the log kept the decision,
    `group` (n,) the number of the group, −1 for none.

    Raises ValueError for rewards outside [0, 1], and for probabilities outside (0, 1]."""

    x: Floats
    reward: F64
    mass: F64
    kept: F64
    group: I64

    def __post_init__(self) -> None:
        if not ((self.reward >= 0) & (self.reward <= 1)).all():
            raise ValueError("reward: found one outside [0, 1], or no number, expected parts of the highest reward")
        for name in ("mass", "kept"):
            p = getattr(self, name)
            if not ((p > 0) & (p <= 1 + 1e-9)).all():
                raise ValueError(f"{name}: found {p.min():g} to {p.max():g}, expected probabilities above 0")

    def suits(self, x: Floats, group: I64) -> F64:
        """(1 + RESAMPLED, n) of requests `x` (n, d) of groups (n,): the expected reward of the arms, and what resampled
        decisions would have said."""
        rows, asked = self._standardised(x)
        weight, rng = np.minimum(1 / self.mass, MOST_WEIGHT) / self.kept, np.random.default_rng(0)
        found, begun = list[F64](), np.zeros(rows.shape[1])
        for times in (np.ones(len(rows)), *rng.poisson(1.0, (RESAMPLED, len(rows)))):
            all_say = _fitted(rows, self.reward, weight * times, begun=begun)
            begun = begun if found else all_say
            found.append(self._by_group(rows, weight * times, all_say, asked, group))
        return np.asarray(np.maximum(np.stack(found), LEAST))

    def _standardised(self, x: Floats) -> tuple[F64, F64]:
        """(n, D) of the decisions and of requests: a constant, and the features that differ between decisions."""
        middle, scale = self.x.mean(axis=0), self.x.std(axis=0)
        known = scale > 0
        rows, asked = (
            np.column_stack([np.ones(len(each)), (each[:, known] - middle[known]) / scale[known]])
            for each in (self.x, x)
        )
        return rows, asked

    def _by_group(self, rows: F64, weight: F64, all_say: F64, asked: F64, group: I64) -> F64:
        """(n,) the expected rewards of requests, each by its group's coefficients."""
        found = expit(asked @ all_say)
        for g in np.unique(group[group >= 0]):
            mine, those = self.group == g, group == g
            own = _fitted(rows[mine], self.reward[mine], weight[mine], begun=all_say, around=all_say)
            found[those] = expit(asked[those] @ own)
        return np.asarray(found)


def _fitted(x: F64, reward: F64, weight: F64, *, begun: F64, around: F64 | None = None) -> F64:
    """(d,) the coefficients of the weighted regression with a ridge around 0, or, of a group, `around` what all say.
    The constant of all has none, and that of a group a small one, since totals are to be the log's. The search begins
    at `begun`."""
    from scipy.optimize import minimize  # takes 0.2 s, which every command would pay

    alone, middle = around is None, np.zeros(len(begun)) if around is None else around
    ridge = np.full(len(begun), RIDGE if alone else NEAR)
    ridge[0] = 0.0 if alone else RIDGE

    def loss(b: F64) -> tuple[float, F64]:
        z, away = x @ b, b - middle
        value = weight @ (np.logaddexp(0.0, z) - reward * z) + (ridge * away**2).sum() / 2
        return float(value), x.T @ (weight * (expit(z) - reward)) + ridge * away

    found = minimize(loss, begun, jac=True, method="L-BFGS-B", options={"maxiter": STEPS})
    return np.asarray(found.x)
