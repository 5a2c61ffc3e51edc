"""Which features, and which pairs of them, show in the residuals of a linear model, arm by arm.

A feature's values are cut at quantiles (categories stay what they are), and residuals are averaged by cell of (value,
arm): with n rows of a cell, G = Σ n ē² / σ² is χ² with as many degrees of freedom as there are cells where the model
is right; Wilson & Hilferty 1931 make it normal. A pair is asked what it shows beyond what each of its two does.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from croupier.features.batch import F64, I64, Interactions

BINS, PAIR_BINS = 8, 4  # of a number
LEVELS = 12  # of a category that are told apart
ARMS = 6  # the most shown ones, each by itself; all others together
LEAST = 5  # rows of a cell
WIDEST = 24  # features whose pairs are looked at, those that show most by themselves first
CERTAIN = 4.0  # standard deviations, without which nothing is named
NAMED = 3


@dataclass(frozen=True, kw_only=True)
class Missed:
    """`share` of the squared residuals that the feature, or the pair ("a × b"), explains, chance taken off."""

    name: str
    share: float


def missed(log: Interactions, residual: F64, columns: Sequence[str]) -> tuple[tuple[Missed, ...], tuple[Missed, ...]]:
    """Returns features and pairs that show in the residuals (n,) of the shown arms, at most NAMED of each. `columns`:
    names of the context's and the pair's columns; without them columns have numbers."""
    arm, values = _arm(log), _features(log, columns)
    alone = {name: _shown(residual, _cut(x, BINS) * (ARMS + 1) + arm) for name, x in values.items()}
    first = sorted(values, key=lambda name: -alone[name].share)[:WIDEST]
    coarse = {name: _cut(values[name], PAIR_BINS) for name in first}
    both = {}
    for a, b in combinations(first, 2):
        cell = (coarse[a] * (LEVELS + 1) + coarse[b]) * (ARMS + 1) + arm
        both[f"{a} × {b}"] = _shown(residual - alone[a].means - alone[b].means, cell)
    return _named(alone), _named(both)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Shown:
    """`z`: standard deviations beyond chance; `share` of the squares that is explained; `means` (n,) of the cells."""

    z: float
    share: float
    means: F64


def _named(found: Mapping[str, _Shown]) -> tuple[Missed, ...]:
    sure = [Missed(name=name, share=shown.share) for name, shown in found.items() if shown.z >= CERTAIN]
    return tuple(sorted(sure, key=lambda m: -m.share)[:NAMED])


def _shown(residual: F64, cell: I64) -> _Shown:
    number = np.unique(cell, return_inverse=True)[1]
    n = np.bincount(number)
    mean = np.bincount(number, weights=residual) / n
    mean = np.where(n >= LEAST, mean - residual.mean(), 0.0)
    variance, freedom = max(float(residual.var()), 1e-30), max(int((n >= LEAST).sum()) - 1, 1)
    G = float((n * mean**2).sum()) / variance
    z = (np.cbrt(G / freedom) - (1 - 2 / (9 * freedom))) / np.sqrt(2 / (9 * freedom))
    return _Shown(z=float(z), share=max(G - freedom, 0.0) / len(residual), means=mean[number])


def _arm(log: Interactions) -> I64:
    """Returns (n,) which of the most shown arms was shown; ARMS for any other."""
    row, _ = log.shown
    often = np.argsort(-np.bincount(row), kind="stable")[:ARMS]
    place = np.full(int(row.max()) + 1, ARMS)
    place[often] = np.arange(len(often))
    return np.asarray(place[row], np.int64)


def _features(log: Interactions, columns: Sequence[str]) -> dict[str, F64 | I64]:
    """Returns feature → (n,) values: a number's own column, and of a category, as whole numbers, which column is
    lit."""
    _, pair = log.shown
    table = np.hstack([log.batch.context, pair]).astype(np.float64)
    names = list(columns) or [f"column {k}" for k in range(table.shape[1])]
    out: dict[str, F64 | I64] = {}
    for k, name in enumerate(names):
        feature, is_category, _ = name.partition("=")
        if not is_category:
            out[name] = table[:, k]
        elif feature not in names:
            out[feature] = out.get(feature, np.zeros(len(table), np.int64)) + (k + 1) * (table[:, k] > 0.5)
    return {name: x for name, x in out.items() if np.ptp(x) > 0}


def _cut(x: F64 | I64, bins: int) -> I64:
    """Returns (n,) the bin of each value; a few different numbers, and the most frequent categories, stay apart."""
    known, number, count = np.unique(x, return_inverse=True, return_counts=True)
    if x.dtype.kind == "i":
        return np.asarray(np.minimum(np.argsort(np.argsort(-count, kind="stable"))[number], LEVELS), np.int64)
    if len(known) <= bins:
        return np.asarray(number, np.int64)
    edges = np.quantile(x, np.arange(1, bins) / bins)
    return np.asarray(np.searchsorted(edges, x, side="right"), np.int64)
