"""The rules of a sound bandit log, as data: what each one looks at, what it allows, and how bad a breach is.

Polars computes the plain columns that the rules look at (`row_facts`, `summary_facts`); Great Expectations judges and
documents them (features/quality.py). A rule's `expectation` is the name of a GX expectation, `limits` its arguments.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson
import polars as pl

from features.account import Account
from features.columns import Columns
from features.encoder import Encoder
from features.schema import ROLES
from features.spec import RewardSpec

Severity = Literal["critical", "warning"]
TOLERANCE = 1e-6  # of a sum of probabilities
MAX_UNKNOWN, MAX_MISSING = 0.2, 0.5  # shares of one feature's values in one interval


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
    """About each interaction. `start`, `end`: the partition, UTC µs, end excluded."""
    low, high = reward.range
    return [
        Rule(name="event_id_unique", column="event_id", says="every event id is there once",
             expectation="ExpectColumnValuesToBeUnique"),
        Rule(name="pmf_sums_to_one", column="pmf_sum_error", says=f"Σ pmf = 1 within {TOLERANCE}",
             limits={"max_value": TOLERANCE}),
        Rule(name="pmf_not_negative", column="pmf_min", says="no probability below 0", limits={"min_value": 0.0}),
        Rule(name="pmf_fits_arms", column="pmf_length_error", says="one probability for each candidate",
             limits={"max_value": 0}),
        Rule(name="arm_is_candidate", column="position", says="the chosen arm is among the candidates",
             expectation="ExpectColumnValuesToNotBeNull"),
        Rule(name="propensity_in_range", column="propensity", says="0 < propensity ≤ 1",
             limits={"min_value": 0.0, "max_value": 1.0, "strict_min": True}),
        Rule(name="propensity_is_pmf_at_arm", column="propensity_error", says="propensity = pmf at the chosen arm",
             limits={"max_value": TOLERANCE}),
        Rule(name="inside_partition", column="at", says="decided inside the partition",
             limits={"min_value": start, "max_value": end, "strict_max": True}),
        Rule(name="reward_in_range", column="reward", says=f"{low} ≤ reward ≤ {high}",
             limits={"min_value": low, "max_value": high}),
        Rule(name="role_known", column="role", says="role is " + ", ".join(ROLES),
             expectation="ExpectColumnValuesToBeInSet", limits={"value_set": list(ROLES)}),
        Rule(name="pass_probability_in_range", column="pass_probability", says="0 < pass probability ≤ 1",
             limits={"min_value": 0.0, "max_value": 1.0, "strict_min": True}),
    ]  # fmt: skip


def row_facts(df: pl.DataFrame) -> pl.DataFrame:
    """One row an interaction: numbers that the row rules look at. Null where a fact has no meaning, so that one fault
    fails one rule."""
    fits = pl.col("arms").list.len() == pl.col("pmf").list.len()
    frame = df.with_columns(position=_position(df))
    at_arm = pl.col("pmf").list.get(pl.col("position"), null_on_oob=True)
    return frame.select(
        "event_id", "at", "position", "propensity", "reward", "role", "pass_probability",
        pmf_sum_error=pl.when(fits).then((pl.col("pmf").list.sum() - 1.0).abs()),
        pmf_min=pl.col("pmf").list.min(),
        pmf_length_error=(pl.col("arms").list.len().cast(pl.Int64) - pl.col("pmf").list.len().cast(pl.Int64)).abs(),
        propensity_error=pl.when(fits).then((pl.col("propensity") - at_arm).abs()),
    )  # fmt: skip


def _position(df: pl.DataFrame) -> pl.Series:
    """Index of the chosen arm among the candidates, null if it is not there."""
    flat = df.select(pl.int_range(pl.len()).alias("row"), "arms", "arm").explode("arms", keep_nulls=False)
    flat = flat.with_columns(k=pl.int_range(pl.len()).over("row"))
    found = flat.filter(pl.col("arms") == pl.col("arm")).group_by("row").agg(pl.col("k").min())
    rows = pl.DataFrame({"row": range(len(df))}, schema={"row": pl.Int64})
    return rows.join(found, on="row", how="left", maintain_order="left")["k"]


def summary_facts(df: pl.DataFrame, encoder: Encoder | None, account: Account | None) -> tuple[
    dict[str, float], list[Rule],
]:  # fmt: skip
    """Numbers about the interval as a whole, and the rules on them."""
    facts: dict[str, float] = {"interactions": float(len(df))}
    rules = [Rule(name="interactions", column="interactions", says="the interval is not empty",
                  expectation="ExpectColumnMaxToBeBetween", limits={"min_value": 1})]  # fmt: skip
    if account is not None:
        facts |= {"account_imbalance": float(_imbalance(account)),
                  "malformed_share": account.malformed / max(account.rewards_in, 1)}  # fmt: skip
        rules += [_at_most("account_balances", "account_imbalance", 0.0, "events in = events named", "critical"),
                  _at_most("malformed_share", "malformed_share", 0.05, "at most 5 % of rewards malformed")]  # fmt: skip
    for name, share, limit in _feature_shares(df, encoder) if encoder and len(df) else []:
        facts[name] = share
        rules.append(_at_most(name, name, limit, f"{name} at most {limit}"))
    return facts, rules


def _at_most(name: str, column: str, limit: float, says: str, severity: Severity = "warning") -> Rule:
    return Rule(name=name, column=column, says=says, severity=severity, expectation="ExpectColumnMaxToBeBetween",
                limits={"max_value": limit})  # fmt: skip


def _imbalance(account: Account) -> int:
    """Events in minus events accounted for, decisions and rewards, in absolute numbers."""
    decisions = account.interactions + account.immature + account.decision_duplicates + account.decisions_malformed
    rewards = account.on_time + account.late + account.orphan + account.malformed + account.duplicate
    return abs(account.decisions_in - decisions) + abs(account.rewards_in - rewards)


def _feature_shares(df: pl.DataFrame, encoder: Encoder) -> list[tuple[str, float, float]]:
    """(name, share, limit) of missing and unknown values for each feature of context and arm_context."""
    contexts = [orjson.loads(text) for text in df["context"]]
    pairs = [row for text in df["arm_context"] for row in orjson.loads(text)]
    shares = []
    for columns, rows in ((encoder.context, contexts), (encoder.pair, pairs)):
        shares += _shares(columns, rows) if rows else []
    return shares


def _shares(columns: Columns, rows: list[dict[str, Any]]) -> list[tuple[str, float, float]]:
    out = []
    for f in columns.features:
        values = [row.get(f.name) for row in rows]
        where = f"{columns.scope}.{f.name}"
        out.append((f"missing_share {where}", values.count(None) / len(values), MAX_MISSING))
        if f.type == "categorical" and f.vocabulary:
            out.append((f"unknown_share {where}", f.unknown(values) / len(values), MAX_UNKNOWN))
    return out
