"""How an hour explored: entropy of the pmf, greedy share, floor, what each arm got, and the lift over uniform."""

from functools import reduce
from typing import Any

import numpy as np
import polars as pl

from croupier.features.batch import F64, I64
from croupier.features.encoding.inline_log import keyed

CHUNK = 100_000  # rows whose lists are laid out at a time: those of a million would take a quarter of a gigabyte
NOTHING: dict[str, Any] = {
    "n": 0, "entropy": 0.0, "greedy": 0, "floor": None, "inverse": 0.0, "lift": [0.0] * 3, "odd": 0, "arms": {},
}  # fmt: skip


def exploration(df: pl.DataFrame) -> dict[str, Any]:
    """Returns sums over the rows that had a choice (two arms or more); rows whose pmf does not fit its arms are
    counted as `odd` and left out."""
    return reduce(_added, map(_of, df.iter_slices(CHUNK)), NOTHING)


def _of(df: pl.DataFrame) -> dict[str, Any]:
    lengths = df["pmf"].list.len().to_numpy()
    fits = (lengths == df["arms"].list.len().to_numpy()) & (df["propensity"].to_numpy() > 0)
    rows = df.filter(pl.Series(fits & (lengths > 1)))
    odd = {"odd": int((~fits).sum())}
    if rows.is_empty():
        return NOTHING | odd
    K, starts = rows["pmf"].list.len().to_numpy().astype(np.int64), _starts(rows)
    flat = rows["pmf"].explode(empty_as_null=False, keep_nulls=False).to_numpy()
    p, r = rows["propensity"].to_numpy(), rows["reward"].to_numpy()
    weight = 1.0 / (K * p)  # of the uniform policy
    return odd | {
        "n": len(rows),
        "entropy": float((_entropy(flat, starts) / np.log(K)).sum()),
        "greedy": int((p >= np.maximum.reduceat(flat, starts) - 1e-12).sum()),
        "floor": float((p * K).min()),
        "inverse": float(weight.sum()),
        "lift": [float((1 - weight).sum()), float(((1 - weight) * r).sum()), float(r.sum())],
        "arms": _arms(rows, flat),
    }


def _added(a: dict[str, Any], b: dict[str, Any]) -> dict[str, Any]:
    """Returns the figures of the rows of both."""
    arms = sorted({*a["arms"], *b["arms"]})
    return {
        **{name: a[name] + b[name] for name in ("n", "entropy", "greedy")},
        "floor": min((x["floor"] for x in (a, b) if x["floor"] is not None), default=None),
        "inverse": a["inverse"] + b["inverse"],
        "lift": [x + y for x, y in zip(a["lift"], b["lift"], strict=True)],
        "odd": a["odd"] + b["odd"],
        "arms": {arm: [x + y for x, y in zip(*(of["arms"].get(arm, (0, 0.0)) for of in (a, b)), strict=True)]
                 for arm in arms},
    }  # fmt: skip


def _starts(rows: pl.DataFrame) -> I64:
    K = rows["pmf"].list.len().to_numpy().astype(np.int64)
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(K)[:-1]])


def _entropy(flat: F64, starts: I64) -> F64:
    """Returns −Σ p log p of each row."""
    safe = np.where(flat > 0, flat, 1.0)
    return -np.add.reduceat(safe * np.log(safe), starts)


def _arms(rows: pl.DataFrame, flat: F64) -> dict[str, list[float]]:
    """Returns arm → [rows that offered it, Σ of its probability in them]; inline arms count as one, offer by offer."""
    offered = pl.DataFrame({"arm": keyed(rows).explode(empty_as_null=False, keep_nulls=False), "p": flat})
    sums = offered.group_by("arm").agg(pl.len(), pl.col("p").sum()).sort("arm")
    return {str(arm): [int(n), float(p)] for arm, n, p in sums.iter_rows()}
