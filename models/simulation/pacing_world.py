"""A shop with offers that cost something: what the simulation of pacing runs on.

An arm is an offer: one is free, five cost 1 to 4 of the day's budget each time they are shown. Who asks has four
features and an attribute: one in three is of group 1, whose taste is a little other. The chance of a sale is logistic
in these. A policy has scores that it learnt from a uniform day, not the truth. Requests follow the hour of the day,
with noise; on the busy days they double, from ten in the morning of the first, and on the quiet days they fall to .6.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy.special import expit

from croupier.features.batch import F64, I64
from croupier.models.constraints.pacing import HOURS

COSTS = np.array([0.0, 1.0, 1.0, 2.0, 3.0, 4.0])
CATEGORY = np.array([0, 1, 1, 2, 2, 2])
REQUESTS = 2_000  # of a mean day
GROUP_1 = 1 / 3  # of requests
FEATURES, LEARNT_ON, RIDGE = 4, 4_000, 10.0  # rows of the uniform log that scores are learnt from
BUSY, BUSY_FROM, BUSY_TIMES = slice(20, 23), 10, 2.0  # days; the hour of the first; of usual requests
QUIET, QUIET_TIMES = slice(35, 37), 0.6


@dataclass(frozen=True, kw_only=True, eq=False)
class PacedShop:
    """Requests in the order they come: `scores` (T, K) what the policy thinks of each arm, `means` (T, K) the true
    chances of a sale, `group` (T,) 0 or 1; `first` (days · 24 + 1,) the first request of each hour, and T; `history`
    (8, 24) requests of the days before."""

    scores: F64
    means: F64
    group: I64
    first: I64
    history: F64

    @classmethod
    def drawn(cls, days: int, rng: np.random.Generator) -> Self:
        """A shop of so many days."""
        truth = rng.normal(0, 0.6, (FEATURES + 2, len(COSTS)))  # by feature; of group 1; of everybody
        truth[-2] /= 2  # of group 1
        truth[-1] = -2.0 + 0.35 * COSTS  # what costs more sells better
        count = rng.poisson(demand(days)).ravel()
        x = people(int(count.sum()), rng)
        return cls(
            scores=x @ learnt(truth, rng),
            means=expit(x @ truth),
            group=x[:, -2].astype(np.int64),
            first=np.concatenate([[0], np.cumsum(count)]).astype(np.int64),
            history=rng.poisson(np.tile(season(), (8, 1))).astype(np.float64),
        )

    @property
    def days(self) -> int:
        """How many days there are."""
        return (len(self.first) - 1) // HOURS


def season() -> F64:
    """(24,) expected requests of the hours of a usual day: least at four in the morning, most at four in the
    afternoon."""
    hours = 1 - 0.8 * np.cos((np.arange(HOURS) - 4) / HOURS * 2 * np.pi)
    return np.asarray(REQUESTS * hours / hours.sum())


def demand(days: int) -> F64:
    """(days, 24) expected requests, shocks included."""
    expected = np.tile(season(), (days, 1))
    expected[BUSY] *= BUSY_TIMES
    expected[BUSY.start : BUSY.start + 1, :BUSY_FROM] /= BUSY_TIMES
    expected[QUIET] *= QUIET_TIMES
    return expected


def people(n: int, rng: np.random.Generator) -> F64:
    """(n, FEATURES + 2) features, then the group, then 1."""
    return np.column_stack([rng.normal(size=(n, FEATURES)), rng.random(n) < GROUP_1, np.ones(n)])


def learnt(truth: F64, rng: np.random.Generator) -> F64:
    """(FEATURES + 2, K) ridge weights of each arm, from sales of a uniform log."""
    x, arm = people(LEARNT_ON, rng), rng.integers(0, len(COSTS), LEARNT_ON)
    sold = rng.random(LEARNT_ON) < expit(x @ truth)[np.arange(LEARNT_ON), arm]
    found = []
    for k in range(len(COSTS)):
        own = x[arm == k]
        found.append(np.linalg.solve(own.T @ own + RIDGE * np.eye(x.shape[1]), own.T @ sold[arm == k]))
    return np.stack(found, axis=1)
