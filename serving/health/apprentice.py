"""How often the policy would have chosen as the app does, while the app is served in apprentice mode."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import polars as pl

from croupier.features.encoding import inline_log
from croupier.features.encoding.dataset import encode_interactions
from croupier.features.interactions.versions import read_interactions
from croupier.features.schema import APPRENTICE, CANDIDATE, CHAMPION
from croupier.features.workspace import Workspace
from croupier.models import exploration
from croupier.serving.operate import deployment
from croupier.serving.release import bundle_store
from croupier.serving.release.bundle import LoadedRelease

MOST = 5_000  # decisions that are scored anew: the share is then right to a percent and a half


@dataclass(frozen=True, slots=True, kw_only=True)
class AppAgreement:
    """`share`: the mean probability with which `policy`, the one on trial, else the champion of the present release,
    shows what the app chose, over so many `decisions`; `chance`: that of a policy to which all arms are alike."""

    policy: str
    share: float
    chance: float
    decisions: int


def agreement(w: Workspace, *, end: datetime) -> AppAgreement | None:
    """Scores the day before `end` anew; None where nothing was decided in apprentice mode that the release knows."""
    number = bundle_store.current(w.store)
    frame = read_interactions(w.store, start=end - timedelta(days=1), end=end).filter(pl.col("role") == APPRENTICE)
    if number is None or frame.is_empty():
        return None
    with deployment.scratch(w.home) as folder:
        return _scored(deployment.fetched(w.store, w.home, number, folder), frame.sort("at").tail(MOST))


def _scored(release: LoadedRelease, frame: pl.DataFrame) -> AppAgreement | None:
    rows = release.catalogue.row
    known = [rows.keys() >= set(arms) for arms in inline_log.listed(frame)]
    frame = frame.filter(pl.Series(known, dtype=pl.Boolean))
    if frame.is_empty():
        return None
    log = encode_interactions(frame, release.encoder, release.catalogue)
    role = CANDIDATE if release.candidate else CHAMPION
    pmf = exploration.guard(release.pmf(role, log.batch), log.batch.mask)
    return AppAgreement(
        policy=(release.candidate or release.champion).name,
        share=float(pmf[np.arange(len(log)), log.chosen].mean()),
        chance=float((1.0 / log.batch.mask.sum(axis=1)).mean()),
        decisions=len(log),
    )
