"""What the guardrails say of each decision: how much of a kind of reward came within its reward window.

Guardrails are declared in one place, AppSpec.guardrails, and counted in one way, here: for the gate, which judges
logged rows, and for the rollout, which compares what is served.
"""

from datetime import datetime
from math import inf

import polars as pl

from croupier.features.interactions.join import matured
from croupier.features.spec import AppSpec, KindSpec, RewardSpec
from croupier.features.store.storage import Store
from croupier.features.utc import DAY, HOUR, from_us, to_us


def of_kind(reward: RewardSpec, kind: str) -> RewardSpec:
    """A reward that is the sum of one kind alone, 0 where none came, of whatever range."""
    ends = (-inf, inf)  # that of rewards is no range of a guardrail: who judges has its own
    return reward.model_copy(update={"kinds": {kind: KindSpec(how="sum")}, "default": 0.0, "range": ends})


def totals(store: Store, spec: AppSpec, rows: pl.DataFrame, *, now: datetime) -> pl.DataFrame:
    """Returns one column for each guardrail beside `at`: its total for each of `rows` (interactions), in their order.
    The log is read a day at a time."""
    out = rows.select("at")
    if rows.is_empty():
        return out.with_columns(pl.lit(0.0).alias(kind) for kind in spec.guardrails)
    first, last = int(rows["at"].min()) // HOUR * HOUR, int(rows["at"].max())  # type: ignore[arg-type]
    days = [(from_us(at), from_us(min(at + DAY, last + HOUR))) for at in range(first, last + 1, DAY)]
    for kind in spec.guardrails:
        found = pl.concat([_totals(store, of_kind(spec.reward, kind), *day, now=now) for day in days])
        joined = rows.select("event_id").join(found, on="event_id", how="left", maintain_order="left")
        out = out.with_columns(joined["total"].fill_null(0.0).alias(kind))
    return out


def _totals(store: Store, alone: RewardSpec, start: datetime, end: datetime, *, now: datetime) -> pl.DataFrame:
    """event_id and total of the matured decisions of [start, end)."""
    found = matured(store, alone, start=start, end=from_us(to_us(end) + 1), now=now)
    return found.select("event_id", total="reward").unique("event_id", keep="first", maintain_order=True)
