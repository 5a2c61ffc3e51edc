"""A context column that all but says what the reward is, whichever arm was drawn: no pmf is needed to see it.

Honest features predict rewards, too; what tells them from a leak is the degree, and the draw. A column that all but
says whether a reward came is refused unless the draw clears it: were it made from the reward, it would go with the arm
as the reward does, β times as strongly, β its slope on the reward. A flag of visitors who never click does not.
"""

import numpy as np
import polars as pl

from croupier.features.batch import F64, Bool, Interactions
from croupier.models.ope.leaks.columns import drawn_arm, gap, standardised, suspects_of

OUTCOME_R2 = 0.9  # of the reward by the context alone: no honest context leaves the arm so little
TELLING_AUC = 0.9  # that one column alone ranks rewarded rows above the others, two standard errors taken off
TELLING_R2 = 0.45  # and how much of whether a reward came it explains: of those who can click at all, most do not
FEW, FEW_FILLED = 10, 6  # rewarded rows, and rows of a value, before either can be said to tell the reward
LOG_CHANCE = np.log(1e-9)
CLEARED = 3.3  # standard errors by which the column goes less with the arm than one made from the reward would


def tells(log: Interactions, blind_reward: F64, likely: F64 | None) -> int:
    """The context column that tells the reward; −1 if there is none. `blind_reward` (n, K) and `likely` as in `gap`.

    Either the context alone explains OUTCOME_R2 of the reward's variance on rows that the regression has not seen; or
    one column's uncommon values come with uncommon rewards alone: an order's value, filled only where there was one; or
    one column ranks rows by their reward at TELLING_AUC."""
    context, reward = log.batch.context.astype(np.float64), log.reward
    suspects = suspects_of(context, reward)
    if not suspects or len(np.unique(drawn_arm(log))) < 2:
        return -1
    values, counts = np.unique(reward, return_counts=True)
    unusual = reward != values[counts.argmax()]
    if _explained(context, reward) >= OUTCOME_R2 and not cleared(log, suspects[0], blind_reward, likely):
        return suspects[0]
    for j in suspects:
        column = context[:, j]
        if (_fills(column, unusual) or _ranks(column, unusual)) and not cleared(log, j, blind_reward, likely):
            return j
    return -1


def _fills(column: F64, unusual: Bool) -> bool:
    """Whether every uncommon value came with an uncommon reward, more of them than chance would have."""
    levels, places, sizes = np.unique(column, return_inverse=True, return_counts=True)
    other = places != sizes.argmax()
    n, base = int(other.sum()), float(unusual.mean())
    return (
        len(levels) > 1 and n >= FEW_FILLED and bool(unusual[other].all()) and n * np.log(max(base, 1e-12)) < LOG_CHANCE
    )


def _ranks(column: F64, unusual: Bool) -> bool:
    if unusual.all() or column.std() <= 1e-9:
        return False
    told = float(np.corrcoef(column, unusual)[0, 1]) ** 2
    return told >= TELLING_R2 and auc_at_least(column, unusual) >= TELLING_AUC


def auc_at_least(column: F64, unusual: Bool) -> float:
    """Lower bound, two standard errors, of the probability that the column ranks an unusual row above a usual one, or
    below, whichever is likelier (Hanley & McNeil 1982); half a row that says nothing keeps few rows from being sure."""
    n, m = int(unusual.sum()), int((~unusual).sum())
    if min(n, m) < FEW:
        return 0.5
    a = (pl.Series(column).rank().to_numpy()[unusual].sum() - n * (n + 1) / 2) / (n * m)
    a = (max(a, 1.0 - a) * min(n, m) + 0.5) / (min(n, m) + 1.0)
    one, two = a / (2.0 - a), 2.0 * a * a / (1.0 + a)
    variance = (a * (1.0 - a) + (n - 1) * (one - a * a) + (m - 1) * (two - a * a)) / (n * m)
    return float(a - 2.0 * np.sqrt(max(variance, 0.0)))


def cleared(log: Interactions, j: int, blind_reward: F64, likely: F64 | None) -> bool:
    """Whether the draw shows that column j was not made from the reward."""
    f = standardised(log.batch.context[:, j], log.reward)
    reward = log.reward - log.reward.mean()
    made = reward * float(f @ reward / (reward @ reward))  # what a column made from the reward would go with the arm by
    rows = np.arange(len(log))
    direction = gap(log, blind_reward, likely, slice(None))[rows, log.chosen]
    short, found, expected = direction * (made - f), float((direction * f).mean()), float((direction * made).mean())
    return float(short.mean()) > CLEARED * float(short.std()) / np.sqrt(len(log)) and 2.0 * found < expected


def _explained(context: F64, reward: F64) -> float:
    """R² of a ridge regression of the reward on the context, on the half that it has not learnt."""
    half = np.arange(len(reward)) % 2 == 0
    mean, spread = context[half].mean(axis=0), context[half].std(axis=0)
    x = (context - mean) / np.where(spread > 1e-9, spread, np.inf)
    level = float(reward[half].mean())
    weights = np.linalg.solve(x[half].T @ x[half] + np.eye(x.shape[1]), x[half].T @ (reward[half] - level))
    rest, total = reward[~half], float(np.square(reward[~half] - reward[~half].mean()).sum())
    return 1.0 - float(np.square(rest - level - x[~half] @ weights).sum()) / total if total > 0 else 0.0
