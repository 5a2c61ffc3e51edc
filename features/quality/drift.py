"""Health of a log over time: what was earned, how much it still explores, what every arm gets, what drifts.

    health(interactions, encoder=…) → Health (numbers, JSON)      health_page.write(health, folder) → index.html

Effective arms = exp(entropy of the pmf): K when uniform, 1 when greedy (Hill 1973, order 1). Weight share = the largest
1/propensity over their sum: near 1, one decision carries every estimate made from this log. Drift = share of a
feature's values that moved against the encoder's training window (features/encoding/profile.py).
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl

from croupier.features.encoding import profile
from croupier.features.encoding.encoder import Encoder
from croupier.features.interactions.parts.interval_rows import IntervalRows, WholeRows
from croupier.features.quality import audit
from croupier.features.quality.interval.health_bin import HealthBin
from croupier.features.quality.interval.seen_features import MOVED
from croupier.features.quality.interval.span import IntervalSpan
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


class HealthSoFar:
    """The health of an interval, added up part by part: what its `bins`, equal steps of time, come to."""

    def __init__(self, span: IntervalSpan, *, encoder: Encoder | None = None, bins: int = BINS) -> None:
        """Raises ValueError where the interval has no rows."""
        if not span.rows:
            raise ValueError("health: found no interactions, expected some; has their reward window passed?")
        start, end, bins = span.first, span.last + 1, max(1, min(bins, span.rows // 20))
        self._edges = [start + (end - start) * k // bins for k in range(bins + 1)]
        self._bins = [HealthBin(encoder) for _ in range(bins)]

    def add(self, part: pl.DataFrame) -> None:
        """Adds some more interactions."""
        for each, (a, b) in zip(self._bins, pairwise(self._edges), strict=True):
            rows = part.filter(pl.col("at").is_between(a, b, closed="left"))
            if len(rows):
                each.add(rows)

    def health(self) -> Health:
        """Returns the health of what was added."""
        drift, limits = _drift(self._bins)
        return Health(
            rows=sum(each.decisions for each in self._bins),
            bins=tuple(_over_time(self._bins, self._edges)),
            reward=_rewards(self._bins),
            arms=_arms(self._bins),
            drift=drift,
            limits=limits,
        )


def health(asked: pl.DataFrame | IntervalRows, *, encoder: Encoder | None = None, bins: int = BINS) -> Health:
    """Returns the health of interactions (arrow.INTERACTIONS), in equal steps of time. Raises ValueError when there are
    none."""
    rows = WholeRows(asked) if isinstance(asked, pl.DataFrame) else asked
    found = HealthSoFar(IntervalSpan.of(rows), encoder=encoder, bins=bins)
    for part in rows:
        found.add(part)
    return found.health()


def _over_time(bins: Sequence[HealthBin], edges: Sequence[int]) -> Iterator[dict[str, Any]]:
    seen, evidence = set[str](), audit.Audit()
    for each, at in zip(bins, edges, strict=False):
        evidence = audit.total([evidence, each.evidence])
        worst = max((e.log_e for e in evidence.values()), default=None)
        new = len(each.offered - seen) if seen else 0
        yield {"at": at, "decisions": each.decisions, "new_arms": new, "log_e": worst} | each.exploration()
        seen |= each.offered


def _rewards(bins: Sequence[HealthBin]) -> dict[str, list[tuple[float, float] | None]]:
    """Mean and standard error by policy and role; fewer than two rows say nothing."""
    names = dict.fromkeys(name for each in bins for name in each.rewards)
    return {
        name: [each.rewards[name].mean_and_error if name in each.rewards else None for each in bins] for name in names
    }


def _arms(bins: Sequence[HealthBin]) -> dict[str, list[float]]:
    """Returns the share of decisions of the most shown arms, and of all others."""
    counts = sum((each.arms for each in bins), Counter[str]())
    top = sorted(counts, key=lambda arm: (-counts[arm], arm))[:TOP_ARMS]
    out = {arm: [each.arms[arm] / each.decisions if each.decisions else 0.0 for each in bins] for arm in top}
    if len(counts) > len(top):
        rest = [1.0 - sum(values) if each.decisions else 0.0 for each, *values in zip(bins, *out.values(), strict=True)]
        out[f"{len(counts) - len(top)} {OTHERS}"] = rest
    return out


def _drift(bins: Sequence[HealthBin]) -> tuple[dict[str, list[float | None]], dict[str, float]]:
    """Share moved of each feature in each bin, and what chance alone would explain."""
    rows: dict[str, list[float | None]] = {}
    if bins[0].features is None:
        return {}, {}
    for each in bins:
        for scope, seen in each.features.by_scope() if each.features else ():
            if seen.feature.profile.shares:
                rows.setdefault(f"{scope}.{seen.feature.name}", []).append(_moved(seen))
    typical = int(np.median([each.decisions for each in bins]))
    return rows, {"chance": profile.chance(10, typical), "warn": MOVED}


def _moved(seen: SeenValues) -> float | None:
    now = seen.profile.shares if seen.n else ()
    return profile.moved(now, seen.feature.profile.shares) if now else None
