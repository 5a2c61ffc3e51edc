"""Which rows judge: all later ones, and where units keep their arm those of units that no model has learnt.

In an A/B test a unit is drawn once (repeats.py). Whoever learnt its earlier rows knows which arm its later
ones have, and what that unit earns: a policy that remembers units would be paid for their luck. So in such a log

    a first model     of an interval, or of a new process, learns one half of the units, told apart by hash
    a row judges      if its unit was first drawn after the newest model of that moment, or is of the other half while
                      there are first models alone

Elsewhere every row is a draw of its own, all units are learnt, and all later rows judge.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from croupier.features.batch import I64, Bool, Interactions
from croupier.features.build import Features
from croupier.features.encoded.gathered_log import gathered
from croupier.models.ope.kept_arms.repeats import keeps

HALF = np.uint64(1) << np.uint64(63)


def learnt(unit: NDArray[np.uint64]) -> Bool:
    """(n,) True for the units that a first model learns."""
    return unit < HALF


def rows(features: Features, trained: Sequence[int], *, held_back: bool) -> tuple[Features, Interactions | None]:
    """Returns the rows that judge, None where there is none, and the features that speak of them. `trained` (UTC µs):
    from when on there were models, in order; `held_back`: whether the first ones learnt half of the units alone."""
    log = gathered(chunk[rest] for chunk in features.chunks() if (rest := chunk.at >= trained[0]).any())
    if log is None or (not held_back and not keeps([log])):
        return features, log
    parts = [(chunk.unit, chunk.at) for chunk in features.chunks()]
    unit, at = (np.concatenate(column) for column in zip(*parts, strict=True))
    judges = judging(unit, at, np.array(trained, np.int64), held_back=held_back)
    found = gathered(chunk[rest] for chunk, rest in _judged(features.chunks(), judges) if rest.any())
    return replace(features, judging=judges), found


def _judged(chunks: Iterable[Interactions], judges: Bool) -> Iterator[tuple[Interactions, Bool]]:
    """Each chunk, with which of its rows judge."""
    start = 0
    for chunk in chunks:
        yield chunk, judges[start : start + len(chunk)]
        start += len(chunk)


def judging(unit: NDArray[np.uint64], at: I64, trained: I64, *, held_back: bool) -> Bool:
    """(n,) whether a row judges, of units (n,) at times (n,); the other arguments are those of `rows`."""
    _, whose = np.unique(unit, return_inverse=True)
    first = np.full(whose.max(initial=-1) + 1, np.iinfo(np.int64).max)
    np.minimum.at(first, whose, at)
    newest = np.searchsorted(trained, at, side="right") - 1
    drawn_since = first[whose] >= trained[np.maximum(newest, 0)]
    other_half = (newest == 0) & ~learnt(unit) if held_back else np.zeros(len(at), np.bool_)
    return np.asarray((newest >= 0) & (drawn_since | other_half))
