"""What makes the evidence of a rollout not to be trusted: silence, lost logs, roles or propensities that are not so."""

import numpy as np
import polars as pl

from croupier.features.spec import AppSpec
from croupier.models.ope.estimators import Moments
from croupier.models.ope.intervals import asymptotic_cs
from croupier.models.ope.self_tests import propensity_values
from croupier.serving.contract.requests import CANDIDATE, CHAMPION, HOLDOUT, SECOND
from croupier.serving.evidence import sample_ratio
from croupier.serving.evidence.comparison import Compared, unit_counts
from croupier.serving.release.rollout_state import RolloutState

AUDIT_ALPHA = 0.001  # of all looks, per role and test


def stale(frame: pl.DataFrame, spec: AppSpec, state: RolloutState, now: int) -> list[str]:
    """Returns why the evidence is too old to move on, if it is."""
    newest = int(frame["at"][-1]) if len(frame) else state.since
    silent = (now - max(newest, state.since)) / 1e6 - spec.reward.window_seconds
    if silent <= spec.rollout.stale_seconds:
        return []
    return [f"no matured decision for {silent:.0f} s (limit {spec.rollout.stale_seconds:.0f} s)"]


def untrusted(rows: Compared, state: RolloutState) -> list[str]:
    """Returns the stages whose units were not split as the share says."""
    found = []
    for stage, (candidate, champion, share) in unit_counts(rows).items():
        split = (champion, candidate, 1.0 - share) if rows.turned else (candidate, champion, share)  # the small first
        if sample_ratio.mismatch(*split, alpha=sample_ratio.ALPHA / len(state.stages)):
            found.append(f"sample ratio at {stage}: {candidate} units of {candidate + champion}, expected {share:.0%}")
    strays = int((rows.frame["role"].is_in(SECOND).to_numpy() & ~(rows.assigned ^ rows.turned)).sum())
    if strays:
        second = HOLDOUT if state.kept else CANDIDATE
        found.append(f"{strays} decisions of the champion's units were made by the {second}")
    return found + [f"propensities of the {role} are not those of its draws" for role in bad_propensities(rows)]


def bad_propensities(rows: Compared) -> list[str]:
    """Roles whose logged pmf is refuted by their draws (models/ope/self_tests.py), at any look."""
    role = rows.frame["role"].to_numpy()
    bad = []
    for name in (CHAMPION, *SECOND):
        values = propensity_values(rows.log[role == name]) if (role == name).sum() >= 100 else np.zeros((0, 2))
        bounds = [asymptotic_cs(Moments.of(v), alpha=AUDIT_ALPHA / 4) for v in values.T if len(v)]
        if any(b.lower > 0 or b.upper < 0 for b in bounds):
            bad.append(name)
    return bad
