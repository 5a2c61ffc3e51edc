"""Which rows of a log are draws of their own? All, or the first of each unit where units keep their arm, as in an A/B
test (features/quality/repeated_draws.py).

A mean over such units is sound. But a unit's later rows are no evidence that the propensities are true, nor that a
feature is older than the draw; and what was learnt of its earlier rows says which arm its later ones have (judging.py).
"""

from collections.abc import Iterable

import numpy as np

from croupier.features.batch import I64, Interactions
from croupier.features.quality.repeated_draws import Repeats

ENOUGH, MOST_ROWS = 20_000, 1_000_000  # repeats, and rows, beyond which more would not say more


def repeats(log: Interactions) -> Repeats:
    """What the units of one log that come again say."""
    order = np.lexsort((log.at, log.unit))
    again = log.unit[order][1:] == log.unit[order][:-1]
    before, here = order[:-1][again], order[1:][again]
    if len(here) == 0:
        return Repeats()
    arm = log.batch.arm[before, log.chosen[before]]
    same = (log.batch.arm[here] == arm[:, None]) & log.batch.mask[here]
    p = np.where(same, log.pmf[here], 0.0).sum(axis=1)
    return Repeats.of(p, same[np.arange(len(here)), log.chosen[here]])


def keeps(chunks: Iterable[Interactions]) -> bool:
    """True if the units of this log keep their arm. It may come in chunks, in the order of time, and is read until
    there are ENOUGH repeats, or MOST_ROWS."""
    found, rows = Repeats(), 0
    for chunk in chunks:
        found += repeats(chunk)
        rows += len(chunk)
        if found.n >= ENOUGH or rows >= MOST_ROWS:
            break
    return found.kept


def first_of_each(log: Interactions) -> I64:
    """Returns the row of each unit that came first, in the order of the log."""
    order = np.lexsort((log.at, log.unit))
    _, first = np.unique(log.unit[order], return_index=True)
    return np.asarray(np.sort(order[first]), np.int64)
