"""The best of very many arms under one draw of a posterior, found by workers that have a part of the arms each.

Each worker returns the top of its part, and the parts' tops are gathered (all-gather) and sorted once more. An arm's
score is a sum over its features in their order, in double precision, multiplied and added one by one: it has the same
bits whichever arms stand beside it and on whichever processor, so any number of workers finds what one does, ties
included, of which the earlier row comes first.

The top B of one draw are a batch of Thompson sampling with several plays (Komiyama, Honda & Nakagawa 2015, alg. 1).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from croupier.features.batch import F32, F64, I64
from croupier.features.engines.engine import Engine

TILE = 65_536  # arms that are scored at once


@dataclass(frozen=True, kw_only=True, eq=False)
class TopArms:
    """`rows` (n,) of arms and their `scores` (n,), the best first; of equal scores the earlier row first."""

    rows: I64
    scores: F32 | F64

    @classmethod
    def of(cls, rows: I64, scores: F32 | F64, n: int) -> Self:
        """The n best of these, all where there are fewer."""
        if len(scores) > n:
            kept = np.flatnonzero(scores >= np.partition(scores, -n)[-n])
            rows, scores = rows[kept], scores[kept]
        order = np.lexsort((rows, -scores))[:n]
        return cls(rows=rows[order], scores=scores[order])

    @classmethod
    def gathered(cls, parts: Sequence["TopArms"], n: int) -> Self:
        """The n best of all parts."""
        rows, scores = (np.concatenate([getattr(part, name) for part in parts]) for name in ("rows", "scores"))
        return cls.of(rows, scores, n)


def top_arms(engine: Engine, arms: Path, weights: F64, n: int, *, workers: int) -> TopArms:
    """The n arms with the largest products with `weights` (d,), over an array (A, d) in a file of numpy (.npy) that
    every worker of the engine can read. Raises ValueError for another file, weights of another length, NaN, and n or
    workers below 1."""
    A, d = np.load(arms, mmap_mode="r").shape
    if weights.shape != (d,) or not np.isfinite(weights).all():
        raise ValueError(f"weights: found shape {weights.shape}, expected {d} finite numbers, as the arms have")
    if min(n, workers) < 1:
        raise ValueError(f"top_arms: found n = {n} and workers = {workers}, expected 1 at least of each")
    ends = [A * k // workers for k in range(workers + 1)]
    job = {"arms": str(arms), "weights": weights.tolist(), "n": n}
    found = engine.map(top_of_part, [job | {"from": a, "to": b} for a, b in pairwise(ends) if a < b])
    return TopArms.gathered([_top(np.array(r, np.int64), np.array(s, np.float64)) for r, s in found], n)


def top_of_part(job: Mapping[str, Any]) -> list[list[Any]]:
    """What one worker does: [rows, scores] of the best of its part."""
    arms = np.load(job["arms"], mmap_mode="r")
    weights, best = np.array(job["weights"], np.float64), _top(np.zeros(0, np.int64), np.zeros(0))
    for begin in range(job["from"], job["to"], TILE):
        end = min(begin + TILE, job["to"])
        tile = TopArms.of(np.arange(begin, end), scores_of(arms[begin:end], weights), job["n"])
        best = TopArms.gathered([best, tile], job["n"])
    return [best.rows.tolist(), best.scores.tolist()]


def scores_of(arms: NDArray[Any] | F32, weights: F64) -> F64:
    """(n,) the products of arms (n, d) with weights (d,), feature by feature: no BLAS, whose sums depend on how many
    rows there are. Raises ValueError where an arm has NaN or infinity."""
    features = np.ascontiguousarray(np.asarray(arms, np.float64).T)
    found = np.zeros(features.shape[1])
    for x, w in zip(features, weights, strict=True):
        found += x * w
    if not np.isfinite(found).all():
        row = int(np.flatnonzero(~np.isfinite(found))[0])
        raise ValueError(f"arms: found {arms[row].tolist()!r:.80} in a row, expected finite numbers")
    return found


def _top(rows: I64, scores: F64) -> TopArms:
    return TopArms(rows=rows, scores=scores)
