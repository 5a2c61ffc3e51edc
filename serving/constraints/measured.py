"""What logged decisions used of a long-run constraint, and how many they count for: its mean is the one by the other.

decisions       Σ usage of π, each decision once: what a policy means to show varies less than what it drew
opportunities   each decision by w = 1{a ∈ G} r / π(G): whom the arms G would be rewarded by, whatever was shown there
                (E[w | x] = E[r | x, arms of G]); so the mean of π(G) by w is the share of those to whom G is shown:
                equal opportunity (Hardt, Price & Srebro 2016) of a reward of 0 or 1
rewards         Σ usage of the arm that was shown · r: what it earned
"""

import numpy as np
import orjson
import polars as pl

from croupier.features.batch import F64
from croupier.features.declared.segment import RequestSegment
from croupier.models.constraints.long_run import Usage


def used(usage: Usage, rows: pl.DataFrame) -> float:
    """What decisions used in all: a spend and a revenue by what was shown, a share by the probability of showing it.
    Rows of a log that was thinned at its cap stand for those that were not kept."""
    weight = (1.0 / rows["pass_probability"]).to_list()
    if usage.budget:
        return float(sum(usage.of.get(arm, 0.0) * n for arm, n in zip(rows["arm"], weight, strict=True)))
    if usage.by != "decisions":
        each = zip(rows["arm"], rows["reward"], weight, strict=True)
        return float(sum(usage.of.get(arm, 0.0) * reward * n for arm, reward, n in each))
    pairs = zip(rows["arms"].to_list(), rows["pmf"].to_list(), weight, strict=True)
    return float(
        sum(n * usage.of.get(arm, 0.0) * p for arms, pmf, n in pairs for arm, p in zip(arms, pmf, strict=True))
    )


def decided(rows: pl.DataFrame) -> float:
    """How many decisions these rows stand for."""
    return float((1.0 / rows["pass_probability"]).sum())


def counted(usage: Usage, rows: pl.DataFrame) -> float:
    """What these decisions count for: their number, or the sum of w."""
    if usage.by != "opportunities":
        return decided(rows)
    return float(weights(usage, telling(usage, rows)).sum())


def weights(usage: Usage, rows: pl.DataFrame) -> F64:
    """(n,) w of decisions that rewarded the arms (see `telling`)."""
    return np.asarray((rows["reward"] / rows["pass_probability"]).to_numpy() / mass(usage, rows))


def mass(usage: Usage, rows: pl.DataFrame) -> F64:
    """(n,) the probability that these arms had together."""
    pairs = zip(rows["arms"].to_list(), rows["pmf"].to_list(), strict=True)
    found = [sum(p for arm, p in zip(arms, pmf, strict=True) if arm in usage.of) for arms, pmf in pairs]
    return np.array(found, np.float64)


def telling(usage: Usage, rows: pl.DataFrame) -> pl.DataFrame:
    """The rows on which usage and count hang: of opportunities those that rewarded the arms, which are few."""
    if usage.by != "opportunities":
        return rows
    return rows.filter(pl.col("arm").is_in([*usage.of]), pl.col("reward") > 0)


def mean(usage: Usage, rows: pl.DataFrame) -> float | None:
    """The mean usage; None where nothing counts."""
    n = counted(usage, rows)
    return used(usage, rows) / n if n else None


def of_segment(segment: RequestSegment | None, rows: pl.DataFrame) -> pl.DataFrame:
    """The rows whose request is of a segment; all where there is none."""
    if segment is None or not len(rows):
        return rows
    return rows.filter(pl.Series([segment.has(orjson.loads(text)) for text in rows["context"]], dtype=pl.Boolean))
