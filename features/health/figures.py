"""The figures of one hour: everything that the watches of models/health look at, in some 20 kB of JSON.

    n         decisions           groups    [n, Σr, Σr², with a reward] by release, role, arm, segment, arm in segment
    delay     seconds to the reward: histogram, and moments of the logarithm      hosts     per host, its clock
    account   what became of events, late and orphan rewards among them             unit      the most active unit
    explore   entropy, greedy share, floor, arms offered, lift over uniform         features  histograms, missing values
    served    milliseconds a decision took, fallbacks by reason                     reward    histogram of the reward

No row, and no id of a unit, is in it. Sums and histograms add over hours; medians of hosts do not.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from croupier.features.declared.within import within_column
from croupier.features.encoding.inline import COLUMN
from croupier.features.health import sketch
from croupier.features.health.described import ROWS, described
from croupier.features.health.exploration import exploration
from croupier.features.health.groups import groups
from croupier.features.health.hosts import hosts
from croupier.features.health.served import served
from croupier.features.spec import AppSpec
from croupier.features.utc import SECOND

FORM = 1  # of the JSON
SHORTEST = 1e-3  # seconds: a reward that came with its decision, or before it, counts as so fast


READ = {  # by part, the columns that are looked at: all at once, those of a million rows would not fit a gigabyte
    "groups": ("release", "role", "arm", "context", "reward", "reward_count", "fallback_reason"),
    "explore": ("arms", "pmf", "propensity", "reward", COLUMN),
    "delay": ("at", "reward_at", "reward_count"),
    "hosts": ("event_id", "at", "reward_at", "reward_count"),
    "unit": ("unit_id",),
    "served": ("took_us", "fallback_reason"),
    "reward": ("reward",),
    "features": ("at", "context", "arms", "arm", "arm_context", "reward"),
}


def figures(
    rows: pl.DataFrame | pl.LazyFrame,
    spec: AppSpec,
    *,
    account: Mapping[str, int] | None = None,
    logged: pl.DataFrame | None = None,
) -> dict[str, Any]:
    """Returns the figures of interactions (arrow.INTERACTIONS), of which each part is read when it is looked at.
    `account`: of their hour; `logged`: which host logged which event (hosts.hashed)."""
    lazy = rows.lazy().with_columns(pl.col("reward_at").fill_null(0), within_column("reward", spec.reward.range))
    n = lazy.select(pl.len()).collect().item()
    return {
        "form": FORM,
        "n": n,
        "account": dict(account or {}),
        "groups": groups(_part(lazy, "groups"), spec),
        "explore": exploration(_part(lazy, "explore")),
        "delay": _delay(_part(lazy, "delay")),
        "hosts": hosts(_part(lazy, "hosts"), logged) if n else {},
        "unit": _unit(_part(lazy, "unit")),
        "served": served(_part(lazy, "served")),
        "reward": sketch.counted(sketch.present(_part(lazy, "reward")["reward"].to_list())),
        "features": described(_part(lazy, "features", every=-(-n // ROWS)), spec),
    }


def _part(rows: pl.LazyFrame, name: str, *, every: int = 1) -> pl.DataFrame:
    """Reads the columns of a part, of each `every`-th row."""
    known = rows.collect_schema().names()
    read = rows.select(column for column in READ[name] if column in known)
    return (read.gather_every(every) if every > 1 else read).collect()


def _delay(df: pl.DataFrame) -> dict[str, Any]:
    timed = df.filter((pl.col("reward_count") > 0) & (pl.col("reward_at") > 0))
    seconds = ((timed["reward_at"] - timed["at"]) / SECOND).to_numpy().astype(np.float64)
    logs = np.log(np.maximum(seconds, SHORTEST))
    return {"bins": sketch.counted(seconds), "log": sketch.moments(logs), "before": int((seconds < 0).sum())}


def _unit(df: pl.DataFrame) -> dict[str, float]:
    """Returns the decisions of the most active unit, how many units there were, and Σ n²: effective units are
    n² / Σ n²."""
    counts = df["unit_id"].value_counts()["count"].to_numpy().astype(np.float64)
    return {"top": float(counts.max(initial=0.0)), "units": len(counts), "squares": float((counts**2).sum())}
