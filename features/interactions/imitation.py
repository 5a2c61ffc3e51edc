"""What is learnt of decisions that the app made by itself (apprentice mode): to choose as it chose.

Its choice was certain, so its log says nothing of any other arm, and no weighting can: an estimate of what another
policy would have earned from such rows has no support. But of each arm it is known whether the app chose it. A row
becomes one in which an arm was drawn with probability 1/K, by a hash of its event, and its reward is the highest of
the app's range where that is the app's choice, else the lowest. So every policy learns to agree as it learns all else,
and the gate judges agreement, with propensities that are exact.
"""

import polars as pl

from croupier.features.ids import uniforms
from croupier.features.interactions.whole_requests import whole
from croupier.features.schema import APPRENTICE
from croupier.features.spec import AppSpec

SALT = "imitation"  # of the hash that draws the arms


def learnt(rows: pl.DataFrame, spec: AppSpec) -> pl.DataFrame:
    """Returns the interactions (arrow.INTERACTIONS) that a training learns: those that policies decided, once there are
    as many as a first training wants ([training] min_rows); before that the app's own, as rows to imitate. Requests to
    allocate are learnt whole."""
    rows = whole(rows)
    own = int((rows["role"] == APPRENTICE).sum())
    return learnt_part(rows, spec, imitates=imitates(spec, own=own, decided=len(rows) - own))


def imitates(spec: AppSpec, *, own: int, decided: int) -> bool:
    """Whether a training of so many of the app's `own` decisions, and of those that policies `decided`, imitates."""
    return own > 0 and decided < spec.training.min_rows


def learnt_part(rows: pl.DataFrame, spec: AppSpec, *, imitates: bool) -> pl.DataFrame:
    """Returns what a training learns of a part of its interactions, in which requests to allocate are whole."""
    own = rows["role"] == APPRENTICE
    return imitated(rows.filter(own), spec) if imitates else rows.filter(~own)


def imitated(rows: pl.DataFrame, spec: AppSpec) -> pl.DataFrame:
    """Returns the app's own decisions as draws of one arm of K each, whose reward says whether it is the app's choice;
    the columns are the same. What came late was of another arm: since each row has its reward, it does not count."""
    low, high = spec.reward.range
    arms = rows["arms"].to_list()
    drawn = [own[int(u * len(own))] for own, u in zip(arms, uniforms(SALT, rows["event_id"].to_list()), strict=True)]
    return rows.with_columns(
        arm=pl.Series(drawn, dtype=pl.String),
        pmf=pl.Series([[1.0 / len(own)] * len(own) for own in arms], dtype=pl.List(pl.Float64)),
        propensity=pl.Series([1.0 / len(own) for own in arms], dtype=pl.Float64),
        reward=pl.Series(
            [high if a == b else low for a, b in zip(drawn, rows["arm"].to_list(), strict=True)], dtype=pl.Float64
        ),
        reward_count=pl.lit(1, rows.schema["reward_count"]),
    )


def is_imitated(rows: pl.DataFrame) -> bool:
    """True if these rows, which `learnt` has made, are to be imitated."""
    return len(rows) > 0 and bool((rows["role"] == APPRENTICE).all())
