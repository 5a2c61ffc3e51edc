"""A context column that is the probability of the arm drawn, or any number that rises or falls with it alone.

Such a copy (of p, of 100 p, of log p, rounded) names the draw, and may do so in a way that no arm by itself shows:
where each device prefers another arm, p is .8 for any of them. No column that is older than the draw orders rows as p
does.
"""

import numpy as np
import polars as pl

from croupier.features.batch import Interactions

FEW = 30  # rows drawn with more, and with less, than an even chance: below, a context may have drawn alike by chance
EVEN = 0.05  # p K this near to 1: an even draw, whose p is the number of candidates, which is known before
SAME = 0.999  # rank correlation from which two columns order rows alike, but for rounding


def of_the_draw(log: Interactions) -> int:
    """The context column that orders rows as the drawn arm's probability does; −1 if there is none."""
    chance = log.propensity * log.batch.mask.sum(axis=1)
    uneven = np.abs(chance - 1.0) > EVEN
    if min(int((chance[uneven] > 1.0).sum()), int((chance[uneven] < 1.0).sum())) < FEW:
        return -1
    p = pl.Series(log.propensity[uneven]).rank().to_numpy()
    for j, column in enumerate(log.batch.context[uneven].astype(np.float64).T):
        if column.std() > 1e-9 and abs(float(np.corrcoef(pl.Series(column).rank().to_numpy(), p)[0, 1])) >= SAME:
            return j
    return -1
