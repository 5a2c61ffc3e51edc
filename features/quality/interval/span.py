"""What is known of an interval's rows before they are judged: how many there are, from when to when, and which event
ids are there more than once."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from croupier.features.interactions.parts.interval_rows import IntervalRows
from croupier.features.utc import HOUR


@dataclass(frozen=True, kw_only=True)
class IntervalSpan:
    """`rows`, the `first` and `last` of their times (UTC µs), how many each hour has, by its start, and the event ids
    that are `repeated`."""

    rows: int = 0
    first: int = 0
    last: int = 0
    hours: Mapping[int, int] = field(default_factory=dict)
    repeated: frozenset[str] = frozenset()

    @classmethod
    def of(cls, rows: IntervalRows) -> Self:
        """Reads the rows' ids and times, once, and a second time where two ids may be the same."""
        hours, times, hashes, n = Counter[int](), list[int](), list[NDArray[np.uint64]](), 0
        for part in rows.which():
            n += len(part)
            at = part["at"].drop_nulls()
            if len(at):
                times += [int(at.min()), int(at.max())]  # type: ignore[arg-type]
            for hour, many in at.to_frame().group_by(hour=pl.col("at") // HOUR * HOUR).len().iter_rows():
                hours[hour] += many
            hashes.append(part["event_id"].drop_nulls().hash().to_numpy())
        found = np.concatenate(hashes) if hashes else np.zeros(0, np.uint64)
        span = {"first": min(times, default=0), "last": max(times, default=0)}
        return cls(rows=n, hours=hours, repeated=_repeated(rows, found), **span)


def _repeated(rows: IntervalRows, hashes: NDArray[np.uint64]) -> frozenset[str]:
    """The ids that are there more than once: those whose hash is, which are compared then. `hashes` are sorted."""
    hashes.sort()
    alike = pl.Series(np.unique(hashes[1:][hashes[1:] == hashes[:-1]]), dtype=pl.UInt64)
    if not len(alike):
        return frozenset()
    found = pl.concat(
        [part["event_id"].filter(part["event_id"].hash().is_in(alike.implode())) for part in rows.which()]
    )
    return frozenset(found.filter(found.is_duplicated()).drop_nulls().to_list())
