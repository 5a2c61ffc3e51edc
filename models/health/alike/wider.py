"""How much wider than chance rewards vary where other arms come and go. An arm wins more or less by who stands beside
it, and keeps that until the next one comes, so that its hours are no independent witnesses.

Over blocks of some days each, Σ (s − E)² / Var of all streams of a kind, by its degrees of freedom (over-dispersion:
McCullagh & Nelder 1989, Generalized linear models, section 4.5). Streams are taken together, since one of them has few
blocks.
"""

from collections.abc import Iterable

import numpy as np

from croupier.features.batch import F64
from croupier.models.health.residuals import Whole, variance
from croupier.models.health.season import DAY_HOURS, View, expected

BLOCKS = (1, 2, 3, 5, 7)  # days


def wider(view: View, streams: Iterable[F64], whole: Whole) -> float:
    """Returns the largest of the blocks' dispersions, at least 1, of streams (T, 3)."""
    made = [_days(view, sums, whole) for sums in streams]
    return max([1.0, *(_dispersion(made, days) for days in BLOCKS)])


def _days(view: View, sums: F64, whole: Whole) -> F64:
    """Returns (days, 2): what the baseline's days got beyond what was due, and its variance."""
    base = view.base(sums)
    means = expected(base[..., 0], base[..., 1], whole.means)
    beyond, var = base[..., 1] - base[..., 0] * means, base[..., 0] * variance(base, means)
    return np.stack([x.reshape(-1, DAY_HOURS).sum(axis=1) for x in (beyond, var)], axis=1)


def _dispersion(streams: list[F64], days: int) -> float:
    squares, freedom = 0.0, 0
    for x in streams:
        blocks = x[: len(x) // days * days].reshape(-1, days, 2).sum(axis=1)
        blocks = blocks[blocks[:, 1] > 0]
        if len(blocks) > 1:
            squares += float((blocks[:, 0] ** 2 / blocks[:, 1]).sum())
            freedom += len(blocks) - 1
    return squares / max(freedom, 1)
