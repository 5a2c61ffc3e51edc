"""Narrowing configurations down on an app's own log, without a look at the rows by which the gate judges.

learnt      the earlier 70 % of the training rows; rungs learn the latest of these
judged      the later 30 %: what a trial would have earned
compared    with a comparison, the last 20 % of all training rows are kept for it, and judge nothing before

Where policies are told apart, the later half judges, up to 10,000 rows, if that is more: noise in judging costs more
there than rows that are not learnt.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import inf
from typing import Any

import numpy as np

from croupier.features.batch import I64
from croupier.features.build import Features
from croupier.features.engines.engine import Engine
from croupier.features.workspace import Workspace
from croupier.models.tuning.configuration import Configuration
from croupier.models.tuning.data_features import data_features
from croupier.models.tuning.halving import Tried, budget, narrowed, rungs
from croupier.models.tuning.optuna_search import ModelSearch
from croupier.models.tuning.trial import RowsBetween, difference, fetched, trial

JUDGED, COMPARED = 0.3, 0.2
LEAST = 400  # rows before anything is chosen
CHOOSING = 2000  # rows that a trial learns at least where policies are told apart, if there are so many
JUDGES = 10_000  # rows that judge there, up to half of all
WIDE = 1500  # products of context and arm features above which no head has them all
TOO_WIDE = f"more than {WIDE:,} products of context and arm features"


def told_apart(rows: int) -> tuple[int, int]:
    """Returns, of so many rows, the place at which those that tell policies apart begin, and how many of the rows
    before it the last rung learns: a quarter of all if that is enough, so that choosing is cheap."""
    first = rows - max(round(JUDGED * rows), min(rows // 2, JUDGES))
    return first, min(first, max(CHOOSING, rows // 4))


@dataclass(frozen=True)
class Tuner:
    """Trials on the rows of `key` before `before` (UTC µs), computed by `engine`. `compares` keeps the last of them for
    `compared`; `tells_apart` narrows policies down, not parameters. `done` is called after each trial."""

    w: Workspace
    key: str
    before: int
    engine: Engine
    compares: bool = False
    tells_apart: bool = False
    done: Callable[[], object] | None = None

    @cached_property
    def features(self) -> Features:
        """The encoded log."""
        return fetched(self.w.settings.app, self.key, str(self.w.home)).features

    @cached_property
    def times(self) -> I64:
        """(n,) of the training rows, UTC µs."""
        at = np.concatenate([np.zeros(0, np.int64), *(chunk.at for chunk in self.features.chunks())])
        return np.sort(at[at < self.before])

    @cached_property
    def data(self) -> dict[str, float]:
        """What the rows that may choose are like."""
        return data_features(RowsBetween(self.features, 0, self.before))

    @property
    def rows(self) -> int:
        """How many rows may choose."""
        return len(self.times)

    @cached_property
    def edges(self) -> tuple[int, int, int, int]:
        """Where learnt, judged and compared rows begin, and where the last end: (0, i, j, n), places in `times`. Raises
        ValueError where they are too few to choose by."""
        if (n := self.rows) < LEAST:
            raise ValueError(
                f"tune: found {n:,} matured rows in the training part of features {self.key}, expected at least "
                f"{LEAST}; wait for more of the log"
            )
        last = round(n * (1 - COMPARED)) if self.compares else n
        return 0, told_apart(last)[0] if self.tells_apart else round(last * (1 - JUDGED)), last, n

    def narrow(self, configurations: Sequence[Configuration]) -> list[list[Tried]]:
        """Successive halving: what was tried on each rung, the best first. The last rung learns all rows that do not
        judge, or what `told_apart` says."""
        chosen = [each for each in configurations if self.affordable(each)]
        if not self.tells_apart:
            return narrowed(chosen, self.edges[1], self._judged)
        return narrowed(chosen, told_apart(self.edges[2])[1], self._judged, least=CHOOSING, of_each=True)

    def trials(self, count: int) -> int:
        """How many trials `narrow` makes of so many configurations."""
        return sum(number for _, number in rungs(self.edges[1], count))

    def at_random(self, configurations: Sequence[Configuration], rows: int) -> list[Tried]:
        """Random search: configurations in their order, each on all rows, until about `rows` are learnt in all."""
        each = self.edges[1]
        chosen = [c for c in configurations if self.affordable(c)][: max(1, round(rows / each))]
        return _best_first([Tried(c, each, f) for c, f in zip(chosen, self._judged(chosen, each), strict=True)])

    def budget(self, count: int) -> int:
        """How many rows `narrow` lets so many configurations learn in all."""
        return sum(rows * number for rows, number in rungs(self.edges[1], count))

    def by_model(self, policies: Sequence[str], rows: int) -> list[Tried]:
        """Search by a model of what was tried (optuna_search.py), each trial on all rows, until about `rows` are learnt
        in all. What is too wide to be tried counts as failed. Raises ValueError where Optuna is not installed."""
        each, seed = self.edges[1], self.w.spec.policies.seed

        def judged(proposed: Sequence[Configuration]) -> list[dict[str, Any]]:
            found = iter(self._judged([c for c in proposed if self.affordable(c)], each))
            return [next(found) if self.affordable(c) else {"failed": TOO_WIDE} for c in proposed]

        found = [Tried(c, each, f) for c, f in ModelSearch(policies, max(1, round(rows / each)), seed=seed).run(judged)]
        return _best_first(found)

    def compared(self, configurations: Sequence[Configuration]) -> list[dict[str, Any]]:
        """Trials that learn all rows before those that are kept for the comparison, which judge."""
        _, _, last, n = self.edges
        return self._run(configurations, (0, last), (last, n))

    def affordable(self, configuration: Configuration) -> bool:
        """False for a head of all products of context and arm features, where these are too many."""
        chunk = next(iter(self.features.chunks()))
        d_x = chunk.batch.catalogue.features.shape[1] + chunk.batch.pair.shape[2]
        given = configuration.parameters
        plain = configuration.policy not in {"lin_ts", "lin_ucb"} or "per_arm" in given.values()
        return plain or given.get("cross") == "none" or chunk.batch.context.shape[1] * d_x <= WIDE

    def _judged(self, configurations: Sequence[Configuration], rows: int) -> list[dict[str, Any]]:
        _, first, last, _ = self.edges
        return self._run(configurations, (first - rows, first), (first, last))

    def _run(
        self, configurations: Sequence[Configuration], learnt: tuple[int, int], judged: tuple[int, int]
    ) -> list[dict[str, Any]]:
        policies = self.w.spec.policies
        common = {
            "app": self.w.settings.app, "var": str(self.w.home), "features": self.key, "floor": policies.floor,
            "seed": policies.seed, "learnt": self._between(learnt), "judged": self._between(judged),
        }  # fmt: skip
        jobs = [common | each.to_json() for each in configurations]
        return self.engine.map(trial, jobs, done=self.done)

    def _between(self, places: tuple[int, int]) -> list[int]:
        """The times from a place on and before another one."""
        first, last = places
        end = int(self.times[last]) if last < len(self.times) else int(self.times[-1]) + 1
        return [int(self.times[first]), end]


def beside(
    tuner: Tuner,
    configurations: Sequence[Configuration],
    cold: Sequence[Configuration],
    policies: Sequence[str] = (),
) -> dict[str, Any]:
    """The default, random search and successive halving of `configurations` at the same number of learnt rows, each
    judged on rows that none of them had seen: by configuration, its value, and its difference from the default with
    standard errors. `cold`: the default, then what random search takes in turn. `policies`: those whose spaces are
    searched by a model instead of halving. Raises ValueError where all that were tried failed."""
    tried = [tuner.by_model(policies, tuner.budget(len(cold)))] if policies else tuner.narrow(configurations)
    if tried[-1][0].value == -inf:
        raise ValueError(f"tune: found that all {len(tried[-1])} trials failed: {tried[-1][0].found['failed']}")
    random = tuner.at_random(cold[1:], budget(tried))
    named = {"default": cold[0], "random": random[0].configuration, "tuned": tried[-1][0].configuration}
    found = dict(zip(named, tuner.compared(list(named.values())), strict=True))
    out: dict[str, Any] = {"rows_learnt": budget(tried), "trials": sum(map(len, tried)), "random_trials": len(random)}
    for name, each in found.items():
        gap = difference(each, found["default"]) if {"value"} <= each.keys() & found["default"].keys() else (None, None)
        facts = {"value": each.get("value"), "se": each.get("se"), "lift": gap[0], "lift_se": gap[1]}
        out[name] = named[name].to_json() | facts | ({"failed": each["failed"]} if "failed" in each else {})
    return out | {"rungs": [[said(t) for t in rung] for rung in tried]}


def _best_first(found: Sequence[Tried]) -> list[Tried]:
    return sorted(found, key=lambda tried: -tried.value)


def said(tried: Tried) -> dict[str, Any]:
    """A trial as plain JSON, without the sums."""
    found = {name: value for name, value in tried.found.items() if name != "sums"}
    return tried.configuration.to_json() | {"learnt": tried.rows} | found
