"""The propensity audit: were arms really drawn from the pmf that was logged? A test that may be looked at every hour.

Null: each arm A_t ~ p_t given the past. For any rule that makes another pmf q_t from what was known before the draw,
M_t = Π q_t(A_t) / p_t(A_t) is a martingale of mean 1, and so is any fixed mixture of such. By Ville's inequality
P(ever M ≥ 1/α) ≤ α: looking often costs nothing (Ville 1939; Darling & Robbins 1967, mixtures; Ramdas, Grünwald,
Vovk, Shafer, "Game-theoretic statistics and safe anytime-valid inference", Statistical Science 2023).

The mixture: half its capital on distortions of the whole pmf (flatter, sharper, with some uniform, greedy or
first-candidate draws mixed in), half on each single arm being drawn more or less often than logged, by fixed
factors. Logarithms of the ratios add over rows, hours and hosts: an hour's evidence is one small table in the store.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import log
from typing import Any, Self

import numpy as np
import polars as pl

from croupier.features.batch import F64, Bool
from croupier.features.budgets.allocated_item import one_of_each
from croupier.features.encoding import inline, inline_log
from croupier.features.interactions.whole_requests import allocate
from croupier.features.quality.rules import positions

ALPHA = 1e-4  # false alarms of one group, over its whole life
PROPENSITY_ONLY = "propensity only"  # Decision.stage of imported rows whose pmf is known at the chosen arm only
KEPT_ARM = "kept arm"  # of imported rows that repeat an earlier draw of their unit: no evidence of their own
ARM_SLOTS = 1000  # arms that the capital is split over; fixed, since capital cannot depend on what comes
GROUP = ("release", "role", "policy")
COLUMNS = (*GROUP, "stage", "allocation", "arm", "arms", "pmf", "propensity", inline.COLUMN)  # that evidence is made of
_UNIFORM = (0.01, 0.05, 0.2, 0.5)
_POWERS = (0.5, 0.8, 1.25, 2.0, 5.0)
_MIXED = (0.05, 0.5)
FACTORS = (2.0, 1.2, 0.8, 0.5)
SHAPES = (*(f"uniform +{d:g}" for d in _UNIFORM), *(f"power {b:g}" for b in _POWERS),
          *(f"greedy +{d:g}" for d in _MIXED), *(f"first +{d:g}" for d in _MIXED))  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class AuditEvidence:
    """Evidence against one group's pmf: n rows, Σ log(q/p) of each alternative; `arms`: of each arm, each factor."""

    n: int = 0
    shapes: tuple[float, ...] = (0.0,) * len(SHAPES)
    arms: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    def __add__(self, other: Self) -> Self:
        arms = dict(self.arms)
        for arm, sums in other.arms.items():
            arms[arm] = _plus(arms.get(arm, (0.0,) * len(FACTORS)), sums)
        return type(self)(n=self.n + other.n, shapes=_plus(self.shapes, other.shapes), arms=arms)

    @property
    def log_e(self) -> float:
        """Log of the mixture martingale. Alarm at log_e ≥ log(1/α)."""
        parts = [x - log(2 * len(SHAPES)) for x in self.shapes]
        slots = ARM_SLOTS * len(FACTORS)
        singles = [x - log(2 * slots) for sums in self.arms.values() for x in sums][:slots]
        idle = 0.5 * (1 - len(singles) / slots)  # capital of arms not seen: M = 1
        return float(np.logaddexp.reduce([*parts, *singles, log(max(idle, 1e-300))]))

    @property
    def suspect(self) -> str:
        """The alternative that fits best, for people."""
        named = list(zip(SHAPES, self.shapes, strict=True))
        for arm, sums in self.arms.items():
            named += [(f"{arm} drawn ×{factor:g}", x) for factor, x in zip(FACTORS, sums, strict=True)]
        return max(named, key=lambda item: item[1])[0]

    def to_dict(self) -> dict[str, Any]:
        """The evidence as JSON."""
        return {"n": self.n, "shapes": list(self.shapes), "arms": {a: list(x) for a, x in self.arms.items()}}

    @classmethod
    def from_dict(cls, row: Mapping[str, Any]) -> Self:
        """Restores evidence from JSON."""
        return cls(n=row["n"], shapes=tuple(row["shapes"]), arms={a: tuple(x) for a, x in row["arms"].items()})


def _plus(a: tuple[float, ...], b: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(x + y for x, y in zip(a, b, strict=True))


Audit = dict[str, AuditEvidence]  # "release 3, champion, vw_cb_adf" → evidence


def evidence(df: pl.DataFrame) -> Audit:
    """Returns the evidence of interactions or decisions whose rows are sound (pmf sums to 1, propensity is the pmf at
    the arm). Items of one request to allocate are drawn together: one of each is asked."""
    out: Audit = {}
    df = df.filter(pl.col("stage") != KEPT_ARM)
    if allocate(df):
        df = df.filter(pl.Series(one_of_each(df["allocation"].to_numpy().astype(object), len(df))))
    for key, rows in df.partition_by(*GROUP, as_dict=True, maintain_order=True).items():
        known = pl.col("stage") != PROPENSITY_ONLY
        release, role, policy = key
        out[f"release {release}, {role}, {policy}"] = _whole(rows.filter(known)) + _partial(rows.filter(~known))
    return out


def total(audits: Iterable[Audit]) -> Audit:
    """Returns the sum of evidence, group by group."""
    out: Audit = {}
    for audit in audits:
        for group, found in audit.items():
            out[group] = out.get(group, AuditEvidence()) + found
    return out


def _whole(df: pl.DataFrame) -> AuditEvidence:
    """Rows whose whole pmf is known."""
    shapes, arms = np.zeros(len(SHAPES)), AuditEvidence().arms
    for part in df.iter_slices(50_000):
        lengths = part["pmf"].list.len().to_numpy()
        mask = np.arange(lengths.max()) < lengths[:, None]
        p = np.zeros(mask.shape)
        p[mask] = part["pmf"].explode().to_numpy()
        chosen = _chosen(part)
        shapes += _shape_ratios(p, mask, chosen).sum(axis=0)
        arms = (AuditEvidence(arms=arms) + AuditEvidence(arms=_arm_ratios(part))).arms
    return AuditEvidence(n=len(df), shapes=tuple(shapes.tolist()), arms=arms)


def _partial(df: pl.DataFrame) -> AuditEvidence:
    """Rows that know p at the chosen arm only: a mixture with uniform needs no more, log(1 − δ + δ / (K p))."""
    ratio = 1.0 / (df["arms"].list.len().to_numpy() * df["propensity"].to_numpy())
    shapes = [float(np.log1p(d * (ratio - 1)).sum()) for d in _UNIFORM]
    return AuditEvidence(n=len(df), shapes=(*shapes, *[0.0] * (len(SHAPES) - len(_UNIFORM))))


def _chosen(df: pl.DataFrame) -> Any:
    """(n,) places of the chosen arms among the candidates. Raises ValueError where one is not among them."""
    found = positions(df)
    if lost := int((found < 0).sum()):
        raise ValueError(f"{lost} of {len(df)} rows: found an arm that is no candidate, expected sound rows")
    return found


def _shape_ratios(p: F64, mask: Bool, chosen: Any) -> F64:
    """(n, len(SHAPES)) log(q/p) at the chosen arm. p (n, K)."""
    rows = np.arange(len(p))
    K, at = mask.sum(axis=1), p[rows, chosen]
    best = np.where(mask, p, -1.0)
    greedy = (best == best.max(axis=1, keepdims=True)) & mask
    greedy_at = greedy[rows, chosen] / greedy.sum(axis=1)
    out = [np.log1p(d * (1 / (K * at) - 1)) for d in _UNIFORM]
    for b in _POWERS:
        powered = np.where(p > 0, np.power(p, b, where=p > 0, out=np.zeros_like(p)), 0.0)
        out.append((b - 1) * np.log(at) - np.log(powered.sum(axis=1)))
    for at_alternative in (greedy_at, chosen == 0):
        out += [np.log1p(d * (at_alternative / at - 1)) for d in _MIXED]
    return np.stack(out, axis=1)


def _offers(df: pl.DataFrame) -> pl.DataFrame:
    """Returns a row an offer: arms, pmf, and `hit` 1.0 where it was drawn. Inline arms of one decision are one offer of
    all their probability, since they may never come again."""
    drawn = (pl.col("arm") == pl.col("arms")).cast(pl.Float64)
    if not inline_log.brings(df):
        return df.select("arm", "arms", "pmf").explode("arms", "pmf").with_columns(hit=drawn)
    rows = df.select("arm", "arms", "pmf", inline_log.keyed(df).alias("key")).with_row_index("row")
    offers = rows.explode("arms", "pmf", "key").group_by("row", "key", maintain_order=True)
    return offers.agg(pl.col("pmf").sum(), drawn.max().alias("hit")).rename({"key": "arms"})


def _arm_ratios(df: pl.DataFrame) -> dict[str, tuple[float, ...]]:
    """For each arm a and factor c: q(a) ∝ c·p(a), else ∝ p: Σ log(c^[A=a] / (1 + (c − 1) p(a)))."""
    hit, long = pl.col("hit"), _offers(df)
    # in the order of the rows: sums of partial sums differ in the last bit from run to run
    sums = long.group_by("arms", maintain_order=True).agg(
        (hit * log(c) - ((c - 1) * pl.col("pmf")).log1p()).sum().alias(f"{c:g}") for c in FACTORS
    )
    return {arm: tuple(values) for arm, *values in sums.sort("arms").iter_rows()}
