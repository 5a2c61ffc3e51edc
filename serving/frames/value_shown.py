"""What `croupier ope` shows of a policy's value: the result as JSON has it, and as a table with notes."""

from math import isfinite
from typing import Any

import orjson
from rich.table import Table
from rich.text import Text

from croupier.models.gate.gate import AGREEMENT_LEVEL, SELF_TEST_LEVEL
from croupier.models.ope.intervals import asymptotic_cs
from croupier.models.ope.streaming import Totals
from croupier.models.ope.unit_sums import UnitSums


def values(found: Totals, alpha: float, models: bool, units: UnitSums | None = None) -> dict[str, Any]:
    """Returns the estimates as JSON; those that need a reward model only where there is one. `units`: sums by unit. DM
    has no standard error: rows do not say how wrong its reward model is."""
    body: dict[str, Any] = {"rows": int(found.n), "ess": found.ess, "max_weight_share": found.largest_share,
                            "weight_z": found.weight_z(units), "alpha": alpha, "estimates": {},
                            "effective_units": None if units is None else units.effective()}  # fmt: skip
    for name, moments in found.estimates(units).items():
        if not models and name in ("dm", "dr", "sndr"):
            continue
        if name == "dm":
            body["estimates"][name] = {"value": moments.mean, "standard_error": None, "lower": None, "upper": None}
            continue
        bounds = asymptotic_cs(moments, alpha=alpha / 2)
        body["estimates"][name] = {
            "value": moments.mean, "standard_error": moments.standard_error,
            "lower": bounds.lower if isfinite(bounds.lower) else None,
            "upper": bounds.upper if isfinite(bounds.upper) else None,
        }  # fmt: skip
    return dict(orjson.loads(orjson.dumps(body)))


def shown(result: dict[str, Any]) -> Table:
    """Returns the table of one policy's estimates."""
    heading = Text(title(result))
    table = Table("estimator", "value", "standard error", f"{1 - result['alpha']:.0%} interval, anytime", title=heading)
    for name, row in result["estimates"].items():
        error = "–" if row["standard_error"] is None else f"{row['standard_error']:.2g}"
        low, high = ("–" if row[k] is None else f"{row[k]:.6g}" for k in ("lower", "upper"))
        table.add_row(name, f"{row['value']:.6g}", error, "–" if low == high == "–" else f"{low} to {high}")
    said = notes(result)
    table.caption = Text("\n".join(said)) if said else None
    return table


def title(result: dict[str, Any]) -> str:
    """Whose value it is, and on how many rows."""
    heaviest = f"heaviest {result['max_weight_share']:.2%}"
    return f"{result['policy']}: {result['rows']:,} rows, {result['ess']:,.0f} effective, {heaviest}"


def notes(result: dict[str, Any]) -> list[str]:
    """Sentences below the table: what the values hold for, and what was not checked."""
    out = [f"skipped: {counts(result['skipped'])}"] if result["skipped"] else []
    if result["repeats"]:
        out.append(f"{result['repeats']:,} rows repeat an event: each event counts once")
    if result["offered"]["share"] < 1:
        out.append(
            f"{result['policy']} could be chosen in {result['rows']:,} of {result['offered']['of']:,} rows "
            f"({result['offered']['share']:.1%}): this is its value there"
        )
    if (worth := result.get("effective_units")) is not None:
        out.append(f"units of like activity that these rows are worth: {worth:,.1f}")
    if result["without_reward"]:
        out.append(f"{result['without_reward']:,} rows without a reward count as the declared default")
    out += [*result["alike"], *result["rounded"]]
    if result["left_out"]:
        out.append(f"left out, since no decision can have known them: {', '.join(result['left_out'])}")
    elif result["leak"]:
        out.append(f"{result['leak']} seems to know which arm was drawn: without it DM and DR would differ")
    if "dr" not in result["estimates"]:
        out.append("DM and DR need π and q̂ of every arm: lists, by --target-pmf and --predicted, with --arm")
    return [*out, *_doubts(result), *(f"not checked: {u['name']}, because {u['reason']}" for u in result["unchecked"])]


def _doubts(result: dict[str, Any]) -> list[str]:
    """What the log itself says against its numbers."""
    out, agreement, drawn = [], result["agreement"], result.get("propensity_self_test")
    if agreement is not None and agreement < AGREEMENT_LEVEL:
        out.append(
            f"DR and IPS exclude each other, or weights do not average 1 (p = {agreement:.1g}): is "
            "a feature made after the decision?"
        )
    if drawn is not None and drawn < SELF_TEST_LEVEL:
        out.append(
            f"arms were not drawn with the logged probabilities (p = {drawn:.1g}): no estimate here holds, and the "
            "gate would refuse this log"
        )
    if abs(result["weight_z"]) > 3:
        out.append(f"weights average {result['weight_z']:+.1f} standard errors off 1: are the propensities true?")
    return out


def counts(skipped: dict[str, int]) -> str:
    """Returns counts by reason as text."""
    return ", ".join(f"{n:,} × {reason}" for reason, n in skipped.items())
