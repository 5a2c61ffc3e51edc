"""What the guardrails say of each decision: how much of a kind of reward came within its reward window.

Guardrails are declared in one place, AppSpec.guardrails, and counted in one way, here: for the gate, which judges
logged rows, and for the rollout, which compares what is served.
"""

from dataclasses import dataclass, field
from datetime import datetime
from math import inf
from pathlib import Path

import polars as pl

from croupier.features.interactions.join import matured_hours
from croupier.features.spec import AppSpec, KindSpec, RewardSpec
from croupier.features.store.storage import Store
from croupier.features.utc import DAY, HOUR, from_us

_TOTALS = pl.Schema({"event_id": pl.String, "hour": pl.Int64, "total": pl.Float64})


def of_kind(reward: RewardSpec, kind: str) -> RewardSpec:
    """A reward that is the sum of one kind alone, 0 where none came, of whatever range."""
    ends = (-inf, inf)  # that of rewards is no range of a guardrail: who judges has its own
    return reward.model_copy(update={"kinds": {kind: KindSpec(how="sum")}, "default": 0.0, "range": ends})


@dataclass(frozen=True)
class GuardrailTotals:
    """The totals of each declared kind for rows that come in parts. The log is counted a day at a time, when a row of
    the day comes, and what it said is kept in `folder` by the hour."""

    store: Store
    spec: AppSpec
    folder: Path
    now: datetime
    _days: set[int] = field(default_factory=set)

    def of(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Returns one column for each guardrail beside `at`: its total for each of `rows` (interactions), in order."""
        asked = rows.select("event_id", "at", hour=pl.col("at") // HOUR)
        hours = sorted(set(asked["hour"].to_list()))
        for day in {hour * HOUR // DAY for hour in hours} - self._days:
            self._count(day)
        out = rows.select("at")
        for i, kind in enumerate(self.spec.guardrails):
            found = [pl.read_parquet(path) for hour in hours if (path := self._path(i, hour)).exists()]
            totals = pl.concat([pl.DataFrame(schema=_TOTALS), *found])
            joined = asked.join(totals, on=("event_id", "hour"), how="left", maintain_order="left")
            out = out.with_columns(joined["total"].fill_null(0.0).alias(kind))
        return out

    def _count(self, day: int) -> None:
        start, end = from_us(day * DAY), from_us((day + 1) * DAY)
        for i, kind in enumerate(self.spec.guardrails):
            alone = of_kind(self.spec.reward, kind)
            for data in matured_hours(self.store, alone, start=start, end=end, now=self.now):
                if len(data):
                    found = data.select("event_id", hour=pl.col("at") // HOUR, total="reward")
                    found.write_parquet(self._path(i, found["hour"][0]))
        self._days.add(day)

    def _path(self, i: int, hour: int) -> Path:
        return self.folder / f"{i}-{hour}.parquet"
