"""What makes the evidence of a rollout not to be trusted: silence, lost logs, roles or propensities that are not so."""

from functools import reduce
from math import isinf, log
from operator import add

import polars as pl

from croupier.features.clock import elapsed
from croupier.features.quality import audit, rules
from croupier.features.schema import CANDIDATE, CHAMPION, HOLDOUT, IN_CANDIDATES_PLACE
from croupier.features.spec import AppSpec
from croupier.features.utc import SECOND, from_us
from croupier.serving.evidence import lateness, sample_ratio
from croupier.serving.evidence.comparison import Compared, unit_counts
from croupier.serving.release.rollout_state import RolloutState

AUDIT_ALPHA = 0.001  # of all looks, per role


def stale(frame: pl.DataFrame, spec: AppSpec, state: RolloutState, now: int) -> list[str]:
    """Returns why the evidence is too old to move on, if it is."""
    newest = int(frame["at"][-1]) if len(frame) else state.since
    silent = elapsed(max(newest, state.since), now=now) / SECOND - spec.reward.window_seconds
    if isinf(silent):
        began = f"{from_us(state.since):%Y-%m-%d %H:%M} UTC"
        return [f"the stage began at {began}, which is yet to come: a clock was ahead"]
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
    strays = int((rows.frame["role"].is_in(IN_CANDIDATES_PLACE).to_numpy() & ~(rows.assigned ^ rows.turned)).sum())
    if strays:
        second = HOLDOUT if state.kept else CANDIDATE
        found.append(f"{strays} decisions of the champion's units were made by the {second}")
    return found + [f"propensities of the {role} are not those of its draws" for role in bad_propensities(rows.frame)]


def bad_propensities(frame: pl.DataFrame) -> list[str]:
    """Roles of these interactions whose logged pmf is refuted by their draws, or is none: by the audit of the log
    (features/quality/audit.py), whose error holds at every number of rows and of looks. A normal bound's does not: a
    greedy role of a hundred decisions may have no draw of a rare arm yet."""
    bad = []
    for name in (CHAMPION, *IN_CANDIDATES_PLACE):
        of = frame.filter(pl.col("role") == name)
        if len(of) and (not rules.sound(rules.row_facts(of)).all() or _log_e(of) >= log(1 / AUDIT_ALPHA)):
            bad.append(name)
    return bad


def _log_e(role: pl.DataFrame) -> float:
    """Returns the log evidence against one role, over its policies and releases."""
    return reduce(add, audit.evidence(role).values()).log_e


def late_by_role(rows: Compared, state: RolloutState) -> list[str]:
    """Returns which side's rewards come late, or not at all, more often than the other's, if either's do."""
    second = rows.assigned ^ rows.turned
    names = (HOLDOUT if state.kept else CANDIDATE, CHAMPION)
    on_time, late = (rows.frame["reward_count"] > 0).to_numpy(), rows.frame["late"].to_numpy()
    return lateness.uneven(on_time, late, second, rows.log.unit, names=names)
