"""How an hour was served: how long decisions took, and how many were fallbacks, and why. By all hosts, from the log."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from croupier.features.health import sketch

REASONS = 20  # of fallbacks that are told apart in an hour; rarer ones are counted as others
OTHERS = "other reasons"


def served(df: pl.DataFrame) -> dict[str, Any]:
    """Returns {"took": histogram of milliseconds where they are known, "fallbacks": {reason: decisions}}."""
    known = {name: df[name] for name in df.columns}
    took = known["took_us"].to_numpy() / 1000 if "took_us" in known else sketch.present([])
    return {"took": sketch.counted(took[took > 0]), "fallbacks": _reasons(known.get("fallback_reason"))}


def _reasons(column: pl.Series | None) -> dict[str, int]:
    if column is None:
        return {}
    rows = column.rename("reason").drop_nulls().value_counts(sort=True).filter(pl.col("reason") != "")
    found = {str(reason): int(n) for reason, n in rows.iter_rows()}
    rest = sum([*found.values()][REASONS:])
    return dict([*found.items()][:REASONS]) | ({OTHERS: rest} if rest else {})


def added(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the figures of both."""
    return {name: sketch.added(a.get(name, {}), b.get(name, {})) for name in ("took", "fallbacks")}
