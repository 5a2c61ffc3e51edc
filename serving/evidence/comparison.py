"""Who is compared: the matured decisions of a rollout, by whom they were *assigned* to.

By hash of the unit and the share of the stage: a decision that the candidate owed and somebody else answered counts as
the candidate's.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl

from croupier.features.batch import F64, Bool, Interactions
from croupier.features.encoding.dataset import encode_interactions
from croupier.features.ids import uniform01
from croupier.features.interactions.join import matured
from croupier.features.schema import FALLBACK, IN_CANDIDATES_PLACE, share_of
from croupier.features.spec import RewardSpec
from croupier.features.store.storage import Store
from croupier.features.utc import from_us
from croupier.serving.release.bundle import LoadedRelease
from croupier.serving.release.rollout_state import RolloutState


@dataclass(frozen=True, kw_only=True, eq=False)
class Compared:
    """Matured decisions of one rollout, in time order, all (n,): `assigned` to the candidate, at which `share`.
    `turned`: assigned are those of the champion, which is on trial (hold_out.py)."""

    frame: pl.DataFrame
    log: Interactions
    assigned: Bool
    share: F64
    turned: bool = False

    def __len__(self) -> int:
        return len(self.share)


def decisions(store: Store, reward: RewardSpec, state: RolloutState, *, now: int) -> pl.DataFrame:
    """The rollout's matured interactions, in order of time, with what was late (interactions/late_rewards.py)."""
    began, until = state.history[0]["at"], from_us(now)
    frame = matured(store, reward, start=from_us(began), end=until, now=until, late=True)
    return frame.filter(pl.col("release").is_in(state.releases) & (pl.col("at") >= began)).sort("at")


def compared(frame: pl.DataFrame, state: RolloutState, release: LoadedRelease) -> Compared | None:
    """Returns the decisions made while both roles served; None before there are any."""
    shares = {stage: share_of(stage) for stage in frame["stage"].unique().to_list()}
    exposed = frame.filter(pl.col("stage").is_in([s for s, share in shares.items() if 0 < share < 1]))
    if exposed.is_empty():
        return None
    share = exposed["stage"].replace_strict(shares, return_dtype=pl.Float64).to_numpy()
    return Compared(
        frame=exposed,
        share=share,
        assigned=np.asarray(places(exposed["unit_id"], state.salt) < share),
        log=encode_interactions(exposed, release.encoder, release.catalogue),
    )


def places(units: pl.Series, salt: str) -> F64:
    """Where each unit stands in [0, 1): the candidate's if below the share."""
    unique = units.unique()
    place = {unit: uniform01(salt, unit) for unit in unique}
    return units.replace_strict(place, return_dtype=pl.Float64).to_numpy()


def unit_counts(rows: Compared) -> dict[str, tuple[int, int, float]]:
    """Stage → units that came in it first: the candidate's, the champion's, and the share they were split by. Whether
    a unit returns may be the candidate's doing, so who came at an earlier stage says nothing of the split here."""
    counted = rows.frame.select("stage", "unit_id").with_columns(assigned=pl.Series(rows.assigned), share=rows.share)
    units = (
        counted.unique("unit_id", keep="first", maintain_order=True)
        .group_by("stage")
        .agg(pl.col("assigned").sum(), pl.len(), pl.col("share").first())
    )
    return {s: (int(a), int(n) - int(a), float(share)) for s, a, n, share in units.sort("share").iter_rows()}


def failed(rows: Compared) -> Bool:
    """Decisions that another than the assigned policy had to answer."""
    role, second = rows.frame["role"], rows.assigned ^ rows.turned
    failures = np.where(second, ~role.is_in(IN_CANDIDATES_PLACE).to_numpy(), (role == FALLBACK).to_numpy())
    return np.asarray(failures, dtype=np.bool_)
