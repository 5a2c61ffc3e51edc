"""Health of a log over time: what was earned, how much it still explores, what every arm gets, what drifts.

    health(interactions, encoder=…) → Health (numbers, JSON)      health_page.write(health, folder) → index.html

Effective arms = exp(entropy of the pmf): K when uniform, 1 when greedy (Hill 1973, order 1). Weight share = the largest
1/propensity over their sum: near 1, one decision carries every estimate made from this log. Drift = share of a
feature's values that moved against the encoder's training window (features/encoding/profile.py).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from croupier.features.encoding import profile
from croupier.features.encoding.encoder import Encoder
from croupier.features.interactions.parts.interval_rows import IntervalRows
from croupier.features.quality import audit, seen_values, summary, time_step
from croupier.features.quality.seen_values import SeenValues
from croupier.features.quality.time_step import TimeStep

BINS = 24
PLACE = "(step)"  # a column: the step that a row is in
TOP_ARMS = 8
OTHERS = "others"


@dataclass(frozen=True, kw_only=True)
class Health:
    """`bins`: per step of time {at, decisions, effective_arms, least_propensity, weight_share, new_arms, log_e};
    `reward`: per "policy (role)", mean and standard error of each bin; `arms`: share of decisions; `drift`: share moved
    of each feature; None where a bin has nothing."""

    rows: int
    bins: tuple[dict[str, Any], ...]
    reward: dict[str, list[tuple[float, float] | None]]
    arms: dict[str, list[float]]
    drift: dict[str, list[float | None]]
    limits: dict[str, float]


def health(log: IntervalRows, *, encoder: Encoder | None = None, bins: int = BINS) -> Health:
    """Returns the health of interactions (arrow.INTERACTIONS), in equal steps of time. Raises ValueError when there are
    none."""
    if not len(log):
        raise ValueError("health: found no interactions, expected some; has their reward window passed?")
    edges = _edges(log, max(1, min(bins, len(log) // 20)))
    steps = [TimeStep(encoder) for _ in edges[1:]]
    for part in log.parts(*time_step.COLUMNS, *(seen_values.COLUMNS if encoder else ())):
        place = pl.Series(edges).search_sorted(part["at"], side="right").cast(pl.Int64) - 1
        for (k,), rows in part.with_columns(place.alias(PLACE)).partition_by(PLACE, as_dict=True).items():
            steps[k].add(rows.drop(PLACE))
    drift, limits = _drift(steps) if encoder else ({}, {})
    return Health(
        rows=len(log),
        bins=tuple(_bins(steps, edges)),
        reward=_rewards(steps),
        arms=_arms(steps),
        drift=drift,
        limits=limits,
    )


def _edges(log: IntervalRows, bins: int) -> list[int]:
    """The ends (UTC µs) of so many equal steps, from the first row to just after the last one."""
    ends = pl.concat([part.select(pl.min("at").alias("first"), pl.max("at").alias("last")) for part in log.parts("at")])
    start, end = (int(x) for x in ends.select(pl.min("first"), pl.max("last") + 1).row(0))
    return [start + (end - start) * k // bins for k in range(bins + 1)]


def _bins(steps: Sequence[TimeStep], edges: Sequence[int]) -> list[dict[str, Any]]:
    out, seen, evidence = [], set[str](), audit.Audit()
    for step, at in zip(steps, edges, strict=False):
        evidence = audit.total([evidence, step.evidence])
        worst = max((e.log_e for e in evidence.values()), default=None)
        new = len(step.offered - seen) if seen else 0
        out.append({"at": at, "decisions": step.rows, "new_arms": new, "log_e": worst} | step.exploration)
        seen |= step.offered
    return out


def _rewards(steps: Sequence[TimeStep]) -> dict[str, list[tuple[float, float] | None]]:
    """Mean and standard error by policy and role; fewer than two rows say nothing."""
    out: dict[str, list[tuple[float, float] | None]] = {}
    for i, step in enumerate(steps):
        for (policy, role), found in step.rewards.items():
            out.setdefault(f"{policy} ({role})", [None] * len(steps))[i] = found.mean_and_error
    return out


def _arms(steps: Sequence[TimeStep]) -> dict[str, list[float]]:
    """Returns the share of decisions of the most shown arms, and of all others."""
    counts = sum((step.arms for step in steps), Counter[str]())
    top = sorted(counts, key=lambda arm: (-counts[arm], arm or ""))[:TOP_ARMS]
    out = {arm: [step.arms[arm] / step.rows if step.rows else 0.0 for step in steps] for arm in top}
    if len(counts) > len(top):
        rest = [1.0 - sum(values) if step.rows else 0.0 for step, *values in zip(steps, *out.values(), strict=True)]
        out[f"{len(counts) - len(top)} {OTHERS}"] = rest
    return out


def _drift(steps: Sequence[TimeStep]) -> tuple[dict[str, list[float | None]], dict[str, float]]:
    """Share moved of each feature in each bin, and what chance alone would explain."""
    rows: dict[str, list[float | None]] = {}
    for step in steps:
        for scope, each in step.seen.items():
            for seen in each:
                if seen.feature.profile.shares:
                    rows.setdefault(f"{scope}.{seen.feature.name}", []).append(_moved(seen))
    typical = int(np.median([step.rows for step in steps]))
    return rows, {"chance": profile.chance(10, typical), "warn": summary.MOVED}


def _moved(seen: SeenValues) -> float | None:
    now = seen.profile.shares if seen.n else ()
    return profile.moved(now, seen.feature.profile.shares) if now else None
