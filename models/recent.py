"""A process is judged by all of its rows, and also by the latest ones alone: after a change of the users the rows from
before it say little, and would hold back a family that has learnt the change for as long as the process has lasted.

Each stretch of rows begins a whole number of days after the process did, and is a process of its own, with a
confidence sequence that holds at every look. The error is shared: all rows have 1 − RECENT of α, and the stretches of a
process of D days RECENT · α / D each, so that a family that is on average no better over any of them is promoted with
probability at most α in all looks together (union bound). The width of a confidence sequence grows as √log(1/α), so
that a stretch of a month's process needs about 2.7 times the rows that the whole of α would.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import ceil

import numpy as np

from croupier.features.batch import Bool, Interactions
from croupier.features.utc import DAY
from croupier.models.gate.gate import PROMOTE
from croupier.models.gate.reports import Evaluation

RECENT = 0.2  # of α: for all stretches together
BACK = (0, 1, 3, 7)  # a look asks for the stretches that began so many whole days before the newest


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """The rows from `since` (UTC µs) on, judged at the share `share` of α."""

    since: int
    share: float


def stretches(start: int, end: int, days: float) -> list[Stretch]:
    """All rows of the process that began at `start` and lasts `days`, then what came lately, the longest first."""
    number = ceil(days)
    newest = (end - 1 - start) // DAY
    found = [start + (newest - back) * DAY for back in reversed(BACK) if 0 < newest - back <= number]
    return [Stretch(since=start, share=1.0 - RECENT), *(Stretch(since=at, share=RECENT / number) for at in found)]


def judged(
    log: Interactions,
    asked: Sequence[Stretch],
    evaluate: Callable[[Interactions, float], Evaluation],
    better: Callable[[Interactions, float], bool],
) -> Evaluation:
    """The evaluation of all rows. A candidate that they do not promote has the report of the first stretch that does.

    `asked` begins with all rows; `evaluate(rows, share)` judges rows at a share of α, and `better`, in less time, says
    False where it would promote nobody."""
    whole = evaluate(log, asked[0].share)
    for stretch in asked[1:]:
        waiting = [name for name, p in whole.policies.items() if p.verdict and p.verdict.decision != PROMOTE]
        rows = log[_since(log, stretch.since)]
        if not waiting or len(rows) < 2:
            break
        found = evaluate(rows, stretch.share).policies if better(rows, stretch.share) else {}
        lately = {"since": stretch.since, "rows": len(rows)}
        for name in [name for name in waiting if name in found and _promotes(found[name].verdict)]:
            report = found[name]
            whole.policies[name] = replace(report, details=report.details | {"lately": lately})
    return whole


def _since(log: Interactions, since: int) -> slice | Bool:
    """The rows from `since` (UTC µs) on; of a log in order of time they are a part of it, and no copy."""
    if np.all(log.at[1:] >= log.at[:-1]):
        return slice(int(np.searchsorted(log.at, since)), None)
    return np.asarray(log.at >= since)


def _promotes(verdict: object) -> bool:
    return getattr(verdict, "decision", "") == PROMOTE
