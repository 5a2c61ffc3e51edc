"""What is sold at each price, where arms are prices: of everybody, not of those whom a policy asked that price.

A policy asks a price of those who may pay it, so that the share of buyers among them says too much of the others. Each
row counts 1 / propensity, in the units of the reward and self-normalised:

    d̂(p) = Σ w r / (p − c) / Σ w,   w = 1[p was shown] / propensity     (SNIPS: Swaminathan & Joachims 2015, §4)
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import polars as pl

from croupier.features.batch import F64
from croupier.features.interactions.reward_columns import margin
from croupier.features.interactions.versions import read_interactions
from croupier.features.schema import APPRENTICE
from croupier.features.workspace import Workspace

MOST_SHOWN = 50  # prices of a table


@dataclass(frozen=True, slots=True, kw_only=True)
class SoldAt:
    """One price, of the last day: decisions that were `shown` it, its mean `margin`, and what everybody would have
    bought (`sold` units a decision) and brought (`profit` a decision, in money) at it, with standard errors."""

    arm: str
    shown: int
    margin: float
    sold: float
    sold_se: float
    profit: float
    profit_se: float


def sold(w: Workspace, *, end: datetime) -> tuple[SoldAt, ...]:
    """The prices of the day before `end`, those that were shown most, by margin; empty where arms are no prices."""
    if not w.spec.pricing.declared:
        return ()
    rows = read_interactions(w.store, start=end - timedelta(days=1), end=end)
    return sold_in(rows.filter(pl.col("role") != APPRENTICE))


def sold_in(rows: pl.DataFrame) -> tuple[SoldAt, ...]:
    """What is sold at each price by these interactions; those whose margin is not known, or 0, say nothing of it."""
    told = rows.with_columns(margin()).filter(pl.col("margin").is_not_nan(), pl.col("margin") != 0)
    weight = 1.0 / (pl.col("propensity") * pl.col("pass_probability"))
    told = told.select("arm", "margin", "reward", weight=weight, units=pl.col("reward") / pl.col("margin"))
    found = [_of(str(arm), part) for (arm,), part in told.partition_by("arm", as_dict=True).items()]
    most = sorted(found, key=lambda one: (-one.shown, one.arm))[:MOST_SHOWN]
    return tuple(sorted(most, key=lambda one: (one.margin, one.arm)))


def _of(arm: str, rows: pl.DataFrame) -> SoldAt:
    w, units, profit = (rows[name].to_numpy() for name in ("weight", "units", "reward"))
    (sold, sold_se), (mean, se) = _mean(w, units), _mean(w, profit)
    own = float(np.average(rows["margin"].to_numpy(), weights=w))
    return SoldAt(arm=arm, shown=len(rows), margin=own, sold=sold, sold_se=sold_se, profit=mean, profit_se=se)


def _mean(w: F64, x: F64) -> tuple[float, float]:
    """The weighted mean, and its standard error."""
    mean = float(np.average(x, weights=w))
    return mean, float(np.sqrt(((w * (x - mean)) ** 2).sum()) / w.sum())
