"""A number that goes with the reward as a measurement taken after it would, and that the draw does not clear.

Seconds on a page are always filled, and longer where somebody bought. On a log they look as a good feature looks: that
they came too late shows only in the draw (draw.py), and with few rewards not even there. So this is no refusal but a
statement: which column, and how much of the reward it explains beyond the arm drawn and all other columns. So is a
value with which no reward ever came, in more rows than chance leaves: why somebody did not buy, or who never does.
"""

import numpy as np

from croupier.features.batch import F64, Bool, Interactions
from croupier.models.ope.leaks.columns import arm_columns, by_reward
from croupier.models.ope.leaks.degree import LOG_CHANCE, cleared

SHARE = 0.15  # of the reward's variance that the arm and the other columns leave
LEVELS = 10  # distinct values from which a column is a number


def like_an_outcome(log: Interactions, suspects: list[int], blind_reward: F64, likely: F64 | None) -> tuple[int, float]:
    """The column and its share; (−1, 0) where there is none. Arguments as in degree.py."""
    context = log.batch.context.astype(np.float64)
    arm = arm_columns(log)
    found = []
    for j in suspects:
        if len(np.unique(context[:, j])) > LEVELS:
            others = np.column_stack([arm, np.delete(context, j, axis=1)])
            share = _beyond(others, context[:, j], log.reward)
            if share >= SHARE and not cleared(log, j, blind_reward, likely):
                found.append((share, j))
    share, j = max(found, default=(0.0, -1))
    return j, share


def never_rewarded(log: Interactions, blind_reward: F64, likely: F64 | None) -> tuple[int, int]:
    """The column, and the number of rows, of a value with which every reward was the commonest one; (−1, 0): none.
    Arguments as in degree.py."""
    context = log.batch.context.astype(np.float64)
    values, counts = np.unique(log.reward, return_counts=True)
    unusual = log.reward != values[counts.argmax()]
    alone = np.log1p(-min(float(unusual.mean()), 0.999))
    for j in by_reward(context, log.reward):
        rows = max((int(g.sum()) for g in _groups(context[:, j]) if not unusual[g].any()), default=0)
        if rows * alone < LOG_CHANCE and not cleared(log, j, blind_reward, likely):
            return j, rows
    return -1, 0


def _groups(column: F64) -> list[Bool]:
    """The rows of each value, of few values; else those that have the commonest one, and those that have not."""
    levels, places, counts = np.unique(column, return_inverse=True, return_counts=True)
    if len(levels) <= LEVELS:
        return [places == k for k in range(len(levels))]
    common = places == counts.argmax()
    return [common, ~common]


def _beyond(others: F64, column: F64, reward: F64) -> float:
    """Share of what a ridge regression on the others leaves of the reward that the column explains, too, on the half of
    the rows that neither regression has learnt; by its value, its logarithm and its rank's half."""
    half = np.arange(len(reward)) % 2 == 0
    high = column > np.median(column)
    own = np.column_stack([column, np.sign(column) * np.log1p(np.abs(column)), high])
    without, with_it = (_left(x, reward, half) for x in (others, np.column_stack([others, own])))
    return 1.0 - with_it / without if without > 0 else 0.0


def _left(x: F64, reward: F64, half: Bool) -> float:
    """Mean square of what a ridge regression leaves."""
    mean, spread = x[half].mean(axis=0), x[half].std(axis=0)
    x = (x - mean) / np.where(spread > 1e-9, spread, np.inf)
    level = float(reward[half].mean())
    weights = np.linalg.solve(x[half].T @ x[half] + np.eye(x.shape[1]), x[half].T @ (reward[half] - level))
    return float(np.square(reward[~half] - level - x[~half] @ weights).mean())
