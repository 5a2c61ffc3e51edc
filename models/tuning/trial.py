"""One trial: a configuration learns some rows of an app's encoded log, and later rows say what it would have earned.

A trial is a function of plain JSON, so that an engine may compute it anywhere. What it is judged by is the gate's own
estimate, cross-fitted DR of the policy as served, on rows that it has not learnt.
"""

import shutil
import tempfile
import time
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from croupier.features.batch import F64, Floats, Interactions, concatenate
from croupier.features.build import Features
from croupier.features.workspace import Workspace
from croupier.models.constraints.held import limits_of
from croupier.models.exploration import PolicyFailed
from croupier.models.ope.estimators import dr, unthinned
from croupier.models.ope.reward_model import cross_fit
from croupier.models.ope.rounds import as_served, rounds_of
from croupier.models.policy import make

GROUPS = 60  # stretches of time by whose sums trials are compared, row by row being too much to keep


@dataclass(frozen=True)
class RowsBetween:
    """A re-iterable part of encoded features: the rows of [since, before), UTC µs."""

    features: Features
    since: int
    before: int

    def __iter__(self) -> Iterator[Interactions]:
        for chunk in self.features.chunks():
            rows = (chunk.at >= self.since) & (chunk.at < self.before)
            if rows.any():
                yield chunk[rows]


@dataclass(frozen=True)
class Judging:
    """Rows that judge, and what q̂ (n, K) expects on them."""

    log: Interactions
    predicted: Floats


class _Fetched:
    """Features in a folder of this process, for as long as it tries configurations on them."""

    def __init__(self, app: str, key: str) -> None:
        self.w, folder = Workspace.open(app), tempfile.mkdtemp(prefix="croupier-trial-")
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        self.features = Features.fetch(self.w.store, key, Path(folder))


@lru_cache(maxsize=1)
def fetched(app: str, key: str, var: str) -> _Fetched:  # noqa: ARG001 — var names where the app is
    """The app's features, once for all trials that follow."""
    return _Fetched(app, key)


@lru_cache(maxsize=2)
def judging(app: str, key: str, var: str, times: tuple[int, int], seed: int) -> Judging:
    """The rows of [since, before) that judge, once for all trials that follow."""
    log = concatenate(list(RowsBetween(fetched(app, key, var).features, *times)))
    return Judging(log, cross_fit(log, seed=seed))


def let_go() -> None:
    """Frees what was fetched, in memory and on disk: a process that goes on may not need it for hours."""
    judging.cache_clear()
    fetched.cache_clear()


def trial(job: dict[str, Any]) -> dict[str, Any]:
    """`job`: app and var, features, policy, parameters, learnt and judged (two times UTC µs each), floor, seed.

    Returns `value`, what a decision would have earned; `se`; `sums` over GROUPS stretches of the judging rows; `rows`
    learnt and judged; and `cpu_seconds`. Of a configuration that could not learn or decide, `failed`, which says why.
    """
    here = (job["app"], job["features"], job["var"])
    by, w = judging(*here, tuple(job["judged"]), job["seed"]), fetched(*here).w
    part, began = RowsBetween(fetched(*here).features, *job["learnt"]), time.process_time()
    try:
        learnt = make(job["policy"], **job["parameters"]).learn(part, seed=job["seed"])
        pmf = as_served(learnt, by.log.batch, job["floor"], limits_of(w))
    except (ValueError, TypeError, RuntimeError, ArithmeticError, MemoryError, PolicyFailed) as error:
        return {"failed": f"{type(error).__name__}: {error}"}
    rounds = rounds_of(by.log, pmf, by.predicted)
    values = unthinned(dr(rounds), rounds.thinning)
    return {
        "value": float(values.mean()),
        "se": float(values.std(ddof=1) / np.sqrt(len(values))),
        "sums": sums(values).tolist(),
        "rows": [sum(map(len, part)), len(by.log)],
        "cpu_seconds": time.process_time() - began,
    }


def sums(values: F64) -> F64:
    """Sums (g,) of values (n,) over at most GROUPS stretches of nearly equal length."""
    return np.array([part.sum() for part in np.array_split(values, min(GROUPS, len(values)))])


def difference(one: dict[str, Any], other: dict[str, Any]) -> tuple[float, float]:
    """Returns by how much the first of two trials on the same rows earns more a decision, and its standard error,
    paired by stretches of time."""
    gap, rows = np.subtract(one["sums"], other["sums"]), one["rows"][1]
    return float(gap.sum() / rows), float(gap.std(ddof=1) * np.sqrt(len(gap)) / rows)
