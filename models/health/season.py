"""What an hour is held against: the same hours of the weeks before, and how far those were from each other.

Recent hours (at most a week) are compared with m whole weeks before them, so every hour of the week is compared with
itself and no hour of the baseline is in the recent ones. A week joins the baseline once a whole recent one has followed
it: sooner, what went wrong two days ago would become what is normal, and its evidence would be lost. Until two weeks
and a day are known, days take the place of weeks, and nobody knows yet whether weekends differ (`weekly` is false).
"""

from dataclasses import dataclass
from typing import Self

import numpy as np

from croupier.features.batch import F64
from croupier.models.health.history import History

DAY_HOURS, WEEK_HOURS = 24, 168  # hours
MOST_WEEKS, LEAST_WEEKS, LEAST_DAYS, MOST_DAYS = 4, 2, 3, 14
KAPPA = 200.0  # rows that a prior is worth, against an hour's own


@dataclass(frozen=True, eq=False)
class View:
    """The end of a history: `m` periods of `P` hours, then `R` recent hours."""

    history: History
    P: int
    m: int
    R: int

    @classmethod
    def of(cls, history: History) -> Self | None:
        """Returns None where too few hours are known to say what is normal."""
        T = len(history)
        if T >= LEAST_WEEKS * WEEK_HOURS + DAY_HOURS:
            m = min(MOST_WEEKS, max(LEAST_WEEKS, (T - WEEK_HOURS) // WEEK_HOURS))
            R = min(WEEK_HOURS, T - m * WEEK_HOURS)
            P = WEEK_HOURS
        elif T >= (LEAST_DAYS + 1) * DAY_HOURS:
            P, R, m = DAY_HOURS, DAY_HOURS, min(MOST_DAYS, T // DAY_HOURS - 1)
        else:
            return None
        return cls(history.span(T - m * P - R, T), P, m, R)

    @property
    def weekly(self) -> bool:
        """True if weekends are known."""
        return self.P == WEEK_HOURS

    def base(self, x: F64) -> F64:
        """Returns (m, P, …) of an array over the hours."""
        return x[: self.m * self.P].reshape(self.m, self.P, *x.shape[1:])

    def recent(self, x: F64) -> F64:
        """Returns (R, …)."""
        return x[self.m * self.P :]


def expected(n: F64, s: F64, prior: F64) -> F64:
    """Returns (P,) the mean reward of each hour of the period: `prior` (P,) times the stream's own course of the day,
    shrunk to 1 as if κ rows had followed the prior. n, s: (m, P) decisions and rewards."""
    total = s.sum() / max(float((n * prior).sum()), 1e-12)
    plain = prior * total
    shape = (-1, DAY_HOURS)
    own, due = s.sum(axis=0).reshape(shape).sum(axis=0), (n.sum(axis=0) * plain).reshape(shape).sum(axis=0)
    weight = KAPPA * max(float(plain.mean()), 1e-12)
    daily = np.tile((own + weight) / (due + weight), len(prior) // DAY_HOURS)
    return np.asarray(np.minimum(plain * daily, 1.0))


def overall(n: F64, s: F64) -> F64:
    """Returns (P,) the mean reward of each hour of the period over everything, shrunk to its hour of the day's."""
    mean = np.full(n.shape[1], s.sum() / max(float(n.sum()), 1e-12))
    daily = expected(n, s, mean)
    weight = KAPPA * np.maximum(daily, 1e-12)
    return np.asarray((s.sum(axis=0) + weight) / (n.sum(axis=0) + weight / np.maximum(daily, 1e-12)))


def without(x: F64, k: int) -> F64:
    """Returns the periods but the k-th."""
    return np.delete(x, k, axis=0)


def dispersion(z: F64) -> float:
    """How much wider than standard the residuals (m, P) of the baseline are, hour by hour or day by day, at least 1:
    units that come several times, and days that differ, make it larger."""
    days = z.reshape(-1, DAY_HOURS).sum(axis=1) / np.sqrt(DAY_HOURS)
    return max(1.0, float(np.mean(z**2)), float(np.mean(days**2)))
