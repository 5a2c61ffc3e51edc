"""How much a feature says of whether a decision is rewarded: their mutual information, in nats, chance taken off.

    I = Σ p(x, y) log(p(x, y) / p(x) p(y)) − (B − 1)/(2n)

over B values x that occur and the two y, each seen, of n decisions: Miller 1955, "Note on the bias of information
estimates" (his correction of each entropy, (cells − 1)/(2n), summed over H(x) + H(y) − H(x, y)). It may come out a
little below 0. It is 0 where x says nothing, however it says it: |r| misses what rises and falls. Where x and y are
normal with correlation r it is −½ log(1 − r²), so that |r| = .1 is .005 (Cover & Thomas 2006, §8.5).

Hours and their seasons are added up: a feature that goes with the time of the day says as much as that does.
"""

from typing import cast

import numpy as np

from croupier.features.batch import F64
from croupier.models.health.history import FeatureHours
from croupier.models.health.season import DAY_HOURS

MOST_BINS = 16  # of a number, of equal mass: the fewer, the less chance adds
REST = 2  # the last columns of FeatureHours.told: rare categories, and missing values


def information(table: F64) -> float:
    """Returns nats of a table (2, B): decisions by value, and those of them with a reward. 0 where either never, or
    always, happens."""
    n_x, won = table[:, table[0] > 0]
    n = float(n_x.sum())
    if n == 0 or won.sum() in (0.0, n):
        return 0.0
    p = np.stack([won, n_x - won]) / n
    alone = p.sum(axis=1, keepdims=True) * p.sum(axis=0, keepdims=True)
    plain = float(np.where(p > 0, p * np.log(np.where(p > 0, p, 1.0) / alone), 0.0).sum())
    return plain - (len(n_x) - 1) / (2 * n)


def deviation(table: F64, usual: float) -> float:
    """Returns the standard deviation of `information` by chance, where it is `usual`: 2 n I is χ² with B − 1 degrees of
    freedom where nothing is said, and the mean of a log ratio of variance near 2 I elsewhere."""
    n, bins = max(float(table[0].sum()), 1.0), max(int((table[0] > 0).sum()) - 1, 1)
    return float(np.sqrt(2 * max(usual, 0.0) / n + bins / (2 * n * n)))


def table(feature: FeatureHours, first: int, last: int) -> F64:
    """Returns (2, B) of the hours first ≤ t < last, a number's bins in MOST_BINS of equal mass."""
    found = cast("F64", feature.told[first:last].sum(axis=0))
    if feature.type != "numeric":
        return found
    values, rest = found[:, :-REST], found[:, -REST:]
    return np.hstack([_coarse(values), rest])


def _coarse(values: F64) -> F64:
    """Returns (2, ≤ MOST_BINS): bins in the order of their numbers, together until they have a share of the rows."""
    total = float(values[0].sum())
    if total == 0:
        return values[:, :0]
    middle = np.cumsum(values[0]) - values[0] / 2
    place = np.minimum((middle / total * MOST_BINS).astype(np.int64), MOST_BINS - 1)
    return np.stack([np.bincount(place, weights=row, minlength=MOST_BINS) for row in values])


def by_day(feature: FeatureHours) -> list[F64]:
    """Returns the table of each whole day that ends with the last hour, the first day first."""
    T = len(feature.told)
    return [table(feature, t, t + DAY_HOURS) for t in range(T % DAY_HOURS, T, DAY_HOURS)]
