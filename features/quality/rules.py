"""The rules of a sound bandit log, as data: what each one looks at, what it allows, and how bad a breach is.

Polars computes the plain columns that the rules look at (`row_facts` here, the interval's own numbers in
summary.py); Great Expectations judges and documents them (gx.py). A rule's `expectation` is the
name of a GX expectation, `limits` its arguments.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Any, Literal

import numpy as np
import polars as pl

from croupier.features.batch import I64
from croupier.features.schema import LEAST_PROPENSITY, ROLES
from croupier.features.spec import RewardSpec

Severity = Literal["critical", "warning"]
TOLERANCE = 1e-6  # of a sum of probabilities
UNIQUE = "ExpectColumnValuesToBeUnique"  # the only expectation that compares rows with each other
COLUMNS = ("event_id", "at", "arms", "pmf", "arm", "propensity", "role", "pass_probability", "reward")  # of row_facts


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One expectation on one column of facts. `says` is for people: the page, the report, the error."""

    name: str
    column: str
    says: str
    expectation: str = "ExpectColumnValuesToBeBetween"
    limits: Mapping[str, Any] = field(default_factory=dict)
    severity: Severity = "critical"


def row_rules(reward: RewardSpec, start: int, end: int) -> list[Rule]:
    """Returns the rules about each interaction. `start`, `end`: the partition, UTC µs, end excluded."""
    low, high = reward.range
    return [
        Rule(name="event_id_unique", column="event_id", says="every event id is there once",
             expectation=UNIQUE),
        Rule(name="pmf_sums_to_one", column="pmf_sum_error", says=f"Σ pmf = 1 within {TOLERANCE}",
             limits={"max_value": TOLERANCE}),
        Rule(name="pmf_not_negative", column="pmf_min", says="no probability below 0", limits={"min_value": 0.0}),
        Rule(name="pmf_fits_arms", column="pmf_length_error", says="one probability for each candidate",
             limits={"max_value": 0}),
        Rule(name="arm_is_candidate", column="position", says="the chosen arm is among the candidates",
             expectation="ExpectColumnValuesToNotBeNull"),
        Rule(name="propensity_in_range", column="propensity", says=f"{LEAST_PROPENSITY:g} ≤ propensity ≤ 1",
             limits={"min_value": LEAST_PROPENSITY, "max_value": 1.0}),
        Rule(name="propensity_is_pmf_at_arm", column="propensity_error", says="propensity = pmf at the chosen arm",
             limits={"max_value": TOLERANCE}),
        Rule(name="inside_partition", column="at", says="decided inside the partition",
             limits={"min_value": start, "max_value": end, "strict_max": True}),
        Rule(name="reward_in_range", column="reward", says=f"{low} ≤ reward ≤ {high}",
             limits={"min_value": low, "max_value": high}),
        Rule(name="role_known", column="role", says="role is " + ", ".join(ROLES),
             expectation="ExpectColumnValuesToBeInSet", limits={"value_set": list(ROLES)}),
        Rule(name="pass_probability_in_range", column="pass_probability",
             says=f"{LEAST_PROPENSITY:g} ≤ pass probability ≤ 1",
             limits={"min_value": LEAST_PROPENSITY, "max_value": 1.0}),
    ]  # fmt: skip


def row_facts(df: pl.DataFrame) -> pl.DataFrame:
    """Returns one row an interaction: numbers that the row rules look at. Null where a fact has no meaning, so that one
    fault fails one rule; ∞ where there should be a number and is none, for a judge passes over what is null or NaN."""
    position = pl.Series("position", positions(df)).replace(-1, None)
    frame = df.with_columns(position, pmf=pl.col("pmf").fill_null([]).list.eval(_number(pl.element())))
    fits = pl.col("arms").list.len() == pl.col("pmf").list.len()
    at_arm = pl.col("pmf").list.get(pl.col("position"), null_on_oob=True)
    return frame.select(
        "event_id",
        "at",
        "position",
        _number(pl.col("propensity")),
        _number(pl.col("reward")),
        pl.col("role").fill_null(""),
        _number(pl.col("pass_probability")),
        pmf_sum_error=pl.when(fits).then((pl.col("pmf").list.sum() - 1.0).abs()),
        pmf_min=pl.col("pmf").list.min(),
        pmf_length_error=(pl.col("arms").list.len().cast(pl.Int64) - pl.col("pmf").list.len().cast(pl.Int64)).abs(),
        propensity_error=pl.when(fits).then((_number(pl.col("propensity")) - at_arm).abs().fill_nan(0.0)),
    )


def _number(value: pl.Expr) -> pl.Expr:
    """The value, or ∞, which is within no limits, where it is null or NaN."""
    return value.fill_null(inf).fill_nan(inf)


def positions(df: pl.DataFrame) -> I64:
    """Returns (n,) the index of the chosen arm among the candidates, −1 where it is not there."""
    lengths = df["arms"].list.len().fill_null(0).to_numpy()
    rows = np.flatnonzero(lengths)
    owner, begins = np.repeat(rows, lengths[rows]), np.zeros(len(df), np.int64)
    begins[rows] = np.cumsum(lengths[rows]) - lengths[rows]
    flat = df["arms"].filter(pl.Series(lengths > 0)).explode()
    at = np.flatnonzero((flat == df["arm"].gather(owner)).fill_null(value=False).to_numpy())[::-1]
    found = np.full(len(df), -1, np.int64)
    found[owner[at]] = at - begins[owner[at]]  # of an arm that is listed twice the first is written last
    return found


def sound(facts: pl.DataFrame) -> pl.Series:
    """Rows whose probabilities can be audited: those that pass the rules on pmf and propensity."""
    p = pl.col("propensity")
    small = [pl.col(c).fill_null(1.0) <= TOLERANCE for c in ("pmf_sum_error", "propensity_error")]
    return facts.select((p > 0) & (p <= 1) & (pl.col("pmf_min") >= 0) & small[0] & small[1]).to_series()
