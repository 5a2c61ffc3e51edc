"""Successive halving: many configurations learn few rows, the better third of them three times as many, and so on.

Karnin, Koren & Somekh 2013; Jamieson & Talwalkar 2016; with η = 3 as in Hyperband (Li et al. 2018). All rungs are
judged on the same later rows, so that whoever is compared is compared in pairs. Each rung costs about the same.

Few rows order the configurations of one policy, but not policies: a network that is the best after 4,000 rows is often
the worst after 600. Where policies are to be told apart, the best of each goes on, too, and the lowest rung is larger.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, inf
from typing import Any

from croupier.models.tuning.configuration import Configuration
from croupier.models.tuning.trial import difference

ETA = 3
LEAST_ROWS = 100  # that the lowest rung learns
Run = Callable[[Sequence[Configuration], int], list[dict[str, Any]]]  # configurations and rows → their trials


@dataclass(frozen=True)
class Tried:
    """A configuration and what its trial came to, after learning so many rows."""

    configuration: Configuration
    rows: int
    found: dict[str, Any]

    @property
    def value(self) -> float:
        """What a decision earns; minus infinity where the trial failed."""
        return float(self.found.get("value", -inf))


def rungs(rows: int, count: int, least: int = LEAST_ROWS) -> list[tuple[int, int]]:
    """Returns (rows, configurations) of each rung, the last one on all `rows`; as many rungs as there are thirds of
    `count` configurations, and as leave the lowest `least` rows."""
    steps = 0
    while ceil(count / ETA ** (steps + 1)) >= 2 and rows // ETA ** (steps + 1) >= least:
        steps += 1
    return [(rows // ETA ** (steps - i), ceil(count / ETA**i)) for i in range(steps + 1)]


def narrowed(
    configurations: Sequence[Configuration],
    rows: int,
    run: Run,
    *,
    least: int = LEAST_ROWS,
    of_each: bool = False,
) -> list[list[Tried]]:
    """Returns what was tried on each rung, the best first. `of_each`: the best of each policy goes on, too. Raises
    ValueError where every trial of a rung failed."""
    left, found = list(configurations), []
    for learnt, count in rungs(rows, len(left), least):
        stay = _staying(left, count, of_each=of_each)
        trials = [Tried(each, learnt, found) for each, found in zip(stay, run(stay, learnt), strict=True)]
        trials.sort(key=lambda tried: -tried.value)
        if trials[0].value == -inf:
            raise ValueError(f"tune: found that all {len(trials)} configurations failed: {trials[0].found['failed']}")
        found.append(trials)
        left = [tried.configuration for tried in trials if tried.value > -inf]
    return found


def _staying(best_first: Sequence[Configuration], count: int, *, of_each: bool) -> list[Configuration]:
    firsts = {each.policy: each for each in reversed(best_first)}.values() if of_each else ()
    chosen = {each.key for each in (*best_first[:count], *firsts)}
    return [each for each in best_first if each.key in chosen]


def survivors(last: Sequence[Tried], most: int = 2) -> list[Tried]:
    """Returns the best of the last rung, and the best of other policies that are within one standard error of it."""
    best, chosen = last[0], [last[0]]
    for tried in last[1:]:
        if len(chosen) == most or tried.value == -inf:
            break
        gap, error = difference(best.found, tried.found)
        if tried.configuration.policy not in {c.configuration.policy for c in chosen} and gap <= error:
            chosen.append(tried)
    return chosen


def budget(tried: Sequence[Sequence[Tried]]) -> int:
    """Rows learnt in all."""
    return sum(each.rows for rung in tried for each in rung)
