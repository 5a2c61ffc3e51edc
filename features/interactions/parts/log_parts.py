"""The interactions that a training learns, in parts of PART_ROWS, which may be read several times.

Each hour is read by itself: thinned, left out or imitated as a training wants it, with what came too late for its rows.
Rows of one slate, or of one request to allocate, belong together wherever they lie: a log that may have some is read
whole, as one part.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Self

import numpy as np
import polars as pl

from croupier.features.interactions import imitation, late_rewards
from croupier.features.interactions.parts.hour_rows import HourRows, cut
from croupier.features.interactions.versions import Version, fetched
from croupier.features.log.shipped import REWARD, read_rows
from croupier.features.spec import AppSpec
from croupier.features.store.storage import Store

PART_ROWS = 20_000


@dataclass(frozen=True, kw_only=True)
class LearntLog:
    """`parts` are frames of interactions (arrow.INTERACTIONS) by (time, event id), with `late_reward`: what rewards
    that came too late would have come to. `rows` of all parts; from `split_at` on (UTC µs) they judge a first model."""

    parts: Iterable[pl.DataFrame]
    rows: int
    split_at: int

    @classmethod
    def whole(cls, rows: pl.DataFrame, train_share: float) -> Self:
        """A log of one part, in which nothing came too late unless it says so."""
        known = rows if "late_reward" in rows.columns else late_rewards.none(rows).drop("late")
        at = int(rows["at"][split_place(len(rows), train_share)]) if len(rows) else 0
        return cls(parts=[known], rows=len(rows), split_at=at)

    @property
    def earlier(self) -> Iterator[pl.DataFrame]:
        """The rows before `split_at`."""
        for part in self.parts:
            if part["at"][0] >= self.split_at:
                return
            yield part.filter(pl.col("at") < self.split_at)


@dataclass(frozen=True)
class Parts:
    """Hours of rows, each part made when it is asked for."""

    hours: list[HourRows]
    late: list[list[Path]]
    spec: AppSpec
    imitates: bool

    def __iter__(self) -> Iterator[pl.DataFrame]:
        return cut(chain.from_iterable(map(self._learnt, self.hours, self.late)), PART_ROWS)

    def _learnt(self, hour: HourRows, late: list[Path]) -> Iterator[pl.DataFrame]:
        tardy = read_rows(late, REWARD)
        for rows in hour.in_order(PART_ROWS):
            learnt = imitation.learnt_part(rows, self.spec, imitates=self.imitates)
            yield late_rewards.beside(learnt, tardy, self.spec.reward).drop("late")


@contextmanager
def learnt(store: Store, spec: AppSpec, hours: Iterable[Version], *, keep: float = 1.0) -> Iterator[LearntLog]:
    """The rows of these versions that a training learns, while in the block; each is kept iff the hash of its event,
    or of its slate or request to allocate, is below `keep`, so that a smaller share is a subset of a larger one."""
    used = sorted((version for version in hours if version.rows), key=lambda version: version.hour)
    tardy = [version.late for version in used if version.late]
    with fetched(store, [version.data for version in used]) as paths, fetched(store, tardy) as beside:
        late_of = dict(zip(tardy, beside, strict=True))
        late = [[late_of[version.late]] if version.late else [] for version in used]
        found = [HourRows.of(path, keep) for path in paths]
        yield (_whole if any(hour.grouped for hour in found) else _in_parts)(found, late, spec)


def _whole(hours: list[HourRows], late: list[list[Path]], spec: AppSpec) -> LearntLog:
    rows = imitation.learnt(pl.concat([part for hour in hours for part in hour.in_order(PART_ROWS)]), spec)
    tardy = read_rows([path for paths in late for path in paths], REWARD)
    return LearntLog.whole(late_rewards.beside(rows, tardy, spec.reward).drop("late"), spec.policies.train_share)


def _in_parts(hours: list[HourRows], late: list[list[Path]], spec: AppSpec) -> LearntLog:
    own, decided = sum(hour.own for hour in hours), sum(hour.decided for hour in hours)
    imitates = imitation.imitates(spec, own=own, decided=decided)
    counts = [hour.own if imitates else hour.decided for hour in hours]
    n, share = sum(counts), spec.policies.train_share
    ends = np.cumsum(counts)
    split_at = 0
    if n:
        place = split_place(n, share)
        hour = int(np.searchsorted(ends, place, side="right"))
        split_at = hours[hour].time_of(place - int(ends[hour]) + counts[hour], own=imitates)
    return LearntLog(parts=Parts(hours, late, spec, imitates), rows=n, split_at=split_at)


def split_place(rows: int, train_share: float) -> int:
    """The place of the first row that judges: the earlier `train_share` of the log, by time, is for training."""
    return min(round(rows * train_share), rows - 1)
