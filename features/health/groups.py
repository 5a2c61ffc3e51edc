"""Sums of rewards by who decided, what was shown and to whom: [decisions, Σr, Σr², decisions with a reward].

Those of fallbacks are kept by the release that was asked and the role that failed, which their reasons begin with."""

from collections.abc import Sequence

import orjson
import polars as pl

from croupier.features.schema import FALLBACK, ROLES
from croupier.features.spec import AppSpec

LEVELS = 12  # of a declared segment that are told apart in an hour
CELL_ARMS = 40  # arms told apart within a segment
CHUNK = 20_000  # rows whose requests are read at a time: those of a million would take a quarter of a gigabyte
OTHER = "other"  # who failed, where it was no role of ours
Sums = dict[str, list[float]]
_SUMS = (
    pl.len().alias("n"), pl.col("reward").sum(), (pl.col("reward") ** 2).sum().alias("square"),
    (pl.col("reward_count") > 0).sum().alias("rewarded"),
)  # fmt: skip


def groups(df: pl.DataFrame, spec: AppSpec) -> dict[str, Sums]:
    """Returns the sums of all rows, and by release, role, arm, segment, and arm within segment; and of fallbacks, by
    release and role that failed, where the rows have reasons."""
    segments = _segments(df, spec)
    out = {
        "all": _by(df.select("reward", "reward_count", every=pl.lit("")), ["every"]),
        "release": _by(df, ["release"]),
        "role": _by(df, ["role"]),
        "arm": _by(df, ["arm"]),
        "segment": {},
        "cell": {},
    }
    if "fallback_reason" in df.columns:
        out[FALLBACK] = _fallbacks(df)
    often = df["arm"].value_counts(sort=True).head(CELL_ARMS)["arm"]
    for name, labels in segments.items():
        rows = df.select("arm", "reward", "reward_count", pl.lit(labels).alias("segment"))
        rows = rows.filter(pl.col("segment") != "")
        out["segment"] |= {f"{name}={key}": sums for key, sums in _by(rows, ["segment"]).items()}
        cells = _by(rows.filter(pl.col("arm").is_in(often.implode())), ["segment", "arm"])
        out["cell"] |= {f"{name}={key}": sums for key, sums in cells.items()}
    return out


def _by(df: pl.DataFrame, names: Sequence[str]) -> Sums:
    """Keys are joined by a bar."""
    found = df.select(*names, "reward", "reward_count").group_by(names).agg(_SUMS).sort(names)  # lists are not copied
    return {"|".join(map(str, row[: len(names)])): [float(v) for v in row[len(names) :]] for row in found.iter_rows()}


def _fallbacks(df: pl.DataFrame) -> Sums:
    """Keys are "release|role"; the role is OTHER where no role of ours failed, as where a client had no answer."""
    rows = df.filter(pl.col("role") == FALLBACK)
    who = pl.col("fallback_reason").fill_null("").str.split(":").list.first()
    named = rows.with_columns(failed=pl.when(who.is_in(ROLES)).then(who).otherwise(pl.lit(OTHER)))
    return _by(named, ["release", "failed"])


def _segments(df: pl.DataFrame, spec: AppSpec) -> dict[str, pl.Series]:
    """Labels of each declared category of the request; "" where there is none, or where it is a rare one."""
    names = [name for name, feature in spec.context.items() if feature.type == "categorical"]
    if not names:
        return {}
    parts = [_labels(texts, names) for texts in df["context"].to_frame().iter_slices(CHUNK)]
    return {name: _frequent(pl.concat([part[name] for part in parts])) for name in names} if parts else {}


def _labels(contexts: pl.DataFrame, names: Sequence[str]) -> pl.DataFrame:
    """Returns the labels of some rows, a column a category."""
    found: dict[str, list[str]] = {name: [] for name in names}
    for text in contexts.to_series():
        context = orjson.loads(text)
        for name in names:
            value = context.get(name)
            found[name].append(value if isinstance(value, str) else "" if value is None else str(value))
    return pl.DataFrame(found, schema=dict.fromkeys(names, pl.String))


def _frequent(labels: pl.Series) -> pl.Series:
    often = labels.value_counts(sort=True).head(LEVELS)[labels.name].implode()
    kept = pl.when(pl.col("label").is_in(often)).then("label").otherwise(pl.lit(""))
    return pl.DataFrame({"label": labels}).select(kept.alias("segment"))["segment"]
