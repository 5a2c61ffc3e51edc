"""Which rows of a log are draws of their own? All, or one of each unit where units keep their arm, as in an A/B test
(features/quality/repeated_draws.py).

A mean over such units is sound. But two rows of a unit are no more evidence than one that the propensities are true, or
that a feature is older than the draw; and what was learnt of its earlier rows says which arm its later ones have
(judging.py).
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from croupier.features.batch import I64, Interactions
from croupier.features.encoded.columns import column, places
from croupier.features.encoded.on_disk import blocks, zeros
from croupier.features.quality.repeated_draws import Repeats

ROWS = 8192  # are looked at together
UNITS_ROWS = 250_000  # about so many rows are put in the order of their units together
ENOUGH, MOST_ROWS = 20_000, 1_000_000  # units that come again, and rows: more would not say more


def repeats(log: Interactions) -> Repeats:
    """What the units of one log that come again say. Of a long log some units are asked at a time."""
    parts = np.uint64(max(1, -(-len(log) // UNITS_ROWS)))

    def asked(part: int) -> I64:
        return places(len(log), lambda rows: log.unit[rows] % parts == part)

    drawn = column(len(log), lambda rows: log[rows].shown[0], np.int64)
    return sum((_repeats(log, drawn, asked(part)) for part in range(int(parts))), Repeats())


def _repeats(log: Interactions, drawn: I64, rows: NDArray[np.intp]) -> Repeats:
    """What the units of these rows say, where they are all rows of these units; `drawn` (n,) are the arms drawn."""
    unit = log.unit[rows]
    order = np.lexsort((log.at[rows], unit))
    again = unit[order][1:] == unit[order][:-1]
    before, here = rows[order[:-1][again]], rows[order[1:][again]]
    if len(here) == 0:
        return Repeats()
    inorder = np.argsort(here)  # so that what is read lies together
    before, here = drawn[before[inorder]], here[inorder]
    p, hit = zeros((len(here),)), zeros((len(here),), np.bool_)
    for block in blocks(len(here), ROWS):
        new = here[block]
        same = (log.batch.arm[new] == before[block][:, None]) & log.batch.mask[new]
        p[block] = np.where(same, log.pmf[new], 0.0).sum(axis=1)
        hit[block] = same[np.arange(len(new)), log.chosen[new]]
    return Repeats.of(p, hit, log.unit[here])


def keeps(chunks: Iterable[Interactions]) -> bool:
    """True if the units of this log keep their arm. It may come in chunks, in the order of time, and is read until
    there are ENOUGH units that come again, or MOST_ROWS."""
    found, rows = Repeats(), 0
    for chunk in chunks:
        found += repeats(chunk)
        rows += len(chunk)
        if found.n >= ENOUGH or rows >= MOST_ROWS:
            break
    return found.kept


def one_of_each(log: Interactions) -> tuple[I64, I64]:
    """Returns the row of each unit that came first, and one of its later rows by chance (the first, where there is no
    other), in the order of the log. Where the test is what it seems, the rows of either are draws of their own; a log
    whose arms, propensities or features are otherwise from some row on shows it in the later ones."""
    order = np.lexsort((log.at, log.unit))
    _, first, count = np.unique(log.unit[order], return_index=True, return_counts=True)
    others = np.floor(np.random.default_rng(0).random(len(first)) * (count - 1)).astype(np.int64)
    later = order[first + np.where(count > 1, 1 + others, 0)]
    return np.sort(order[first]).astype(np.int64), np.sort(later).astype(np.int64)
