"""Health of a log over time: what was earned, how much it still explores, what every arm gets, what drifts.

    health(interactions, encoder=…) → Health (numbers, JSON)      health_page.write(health, folder) → index.html

Effective arms = exp(entropy of the pmf): K when uniform, 1 when greedy (Hill 1973, order 1). Weight share = the largest
1/propensity over their sum: near 1, one decision carries every estimate made from this log. Drift = share of a
feature's values that moved against the encoder's training window (features/encoding/profile.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl

from croupier.features.encoding import inline_log, profile
from croupier.features.encoding.encoder import Encoder
from croupier.features.quality import audit, rules, seen_values, summary
from croupier.features.quality.seen_values import SeenValues

BINS = 24
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


def health(df: pl.DataFrame, *, encoder: Encoder | None = None, bins: int = BINS) -> Health:
    """Returns the health of interactions (arrow.INTERACTIONS), in equal steps of time. Raises ValueError when there are
    none."""
    if df.is_empty():
        raise ValueError("health: found no interactions, expected some; has their reward window passed?")
    df = df.sort("at", "event_id")
    start, end = int(df["at"][0]), int(df["at"][-1]) + 1
    bins = max(1, min(bins, len(df) // 20))
    edges = [start + (end - start) * k // bins for k in range(bins + 1)]
    parts = [df.filter(pl.col("at").is_between(a, b, closed="left")) for a, b in pairwise(edges)]
    drift, limits = _drift(parts, encoder) if encoder else ({}, {})
    return Health(
        rows=len(df),
        bins=tuple(_bins(parts, edges)),
        reward=_rewards(parts),
        arms=_arms(parts),
        drift=drift,
        limits=limits,
    )


def _bins(parts: Sequence[pl.DataFrame], edges: Sequence[int]) -> list[dict[str, Any]]:
    out, seen, evidence = [], set[str](), audit.Audit()
    for part, at in zip(parts, edges, strict=False):
        offered = set(inline_log.keyed(part).explode(keep_nulls=False, empty_as_null=False).unique().to_list())
        sound = part.filter(rules.sound(rules.row_facts(part)))
        evidence = audit.total([evidence, audit.evidence(sound)])
        worst = max((e.log_e for e in evidence.values()), default=None)
        row = {"at": at, "decisions": len(part), "new_arms": len(offered - seen) if seen else 0, "log_e": worst}
        out.append(row | _exploration(sound))
        seen |= offered
    return out


def _exploration(df: pl.DataFrame) -> dict[str, float | None]:
    if df.is_empty():
        return {"effective_arms": None, "least_propensity": None, "weight_share": None}
    p = pl.element()
    entropy = df["pmf"].list.eval(pl.when(p > 0).then(-p * p.log()).otherwise(0.0)).list.sum()
    weight = 1.0 / df["propensity"].to_numpy()
    return {
        "effective_arms": float(entropy.exp().mean()),  # type: ignore[arg-type]
        "least_propensity": float(df["propensity"].min()),  # type: ignore[arg-type]
        "weight_share": float(weight.max() / weight.sum()),
    }


def _rewards(parts: Sequence[pl.DataFrame]) -> dict[str, list[tuple[float, float] | None]]:
    """Mean and standard error by policy and role; fewer than two rows say nothing."""
    out: dict[str, list[tuple[float, float] | None]] = {}
    for i, part in enumerate(parts):
        for (policy, role), rows in part.partition_by("policy", "role", as_dict=True, maintain_order=True).items():
            series = out.setdefault(f"{policy} ({role})", [None] * len(parts))
            if len(rows) > 1:
                x = rows["reward"].to_numpy()
                series[i] = (float(x.mean()), float(x.std(ddof=1) / np.sqrt(len(x))))
    return out


def _arms(parts: Sequence[pl.DataFrame]) -> dict[str, list[float]]:
    """Returns the share of decisions of the most shown arms, and of all others."""
    counts = pl.concat([p["arm"] for p in parts]).value_counts().sort("count", "arm", descending=[True, False])
    top = counts["arm"][:TOP_ARMS].to_list()
    out = {arm: [float((p["arm"] == arm).mean() or 0.0) if len(p) else 0.0 for p in parts] for arm in top}
    if len(counts) > len(top):
        rest = [1.0 - sum(values) if len(p) else 0.0 for p, *values in zip(parts, *out.values(), strict=True)]
        out[f"{len(counts) - len(top)} {OTHERS}"] = rest
    return out


def _drift(parts: Sequence[pl.DataFrame], encoder: Encoder) -> tuple[dict[str, list[float | None]], dict[str, float]]:
    """Share moved of each feature in each bin, and what chance alone would explain."""
    rows: dict[str, list[float | None]] = {}
    for part in parts:
        of_context, of_pairs = seen_values.of_interactions(part, encoder)
        for scope, each in ((encoder.context.scope, of_context), (encoder.pair.scope, of_pairs)):
            for seen in each:
                if seen.feature.profile.shares:
                    rows.setdefault(f"{scope}.{seen.feature.name}", []).append(_moved(seen))
    typical = int(np.median([len(p) for p in parts]))
    return rows, {"chance": profile.chance(10, typical), "warn": summary.MOVED}


def _moved(seen: SeenValues) -> float | None:
    now = seen.profile.shares if seen.n else ()
    return profile.moved(now, seen.feature.profile.shares) if now else None
