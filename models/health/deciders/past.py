"""The reward of each role and release that serves now, against the same hours of past weeks. It is only ever watched.

A role (champion, candidate, hold-out, apprentice) is held against its own past, whichever policies had it then. A
release is younger than a week, mostly, and is held against what everybody decided in past weeks. Which of them are
better than which is not asked here: the gate and the rollout compare policies on the same traffic. Whatever makes
NEARLY_ALL of the decisions has no stream of its own, since it would be that of everything once more.
"""

from functools import partial

import numpy as np

from croupier.features.batch import F64
from croupier.features.schema import APPRENTICE, CANDIDATE, CHAMPION, HOLDOUT
from croupier.models.health import counts
from croupier.models.health.alike.streams import MEAN, by_arms, changing, streams, watched
from croupier.models.health.explained import LARGE
from croupier.models.health.history import History
from croupier.models.health.residuals import due_sums, of_sums
from croupier.models.health.season import DAY_HOURS, View
from croupier.models.health.symptom import Signal, Told
from croupier.models.health.watches.reward import LEAST

ROLE, RELEASE = "role", "release"
COMPARED = (CHAMPION, CANDIDATE, HOLDOUT, APPRENTICE)  # roles with a past; fallbacks are counted by failing.py
NEARLY_ALL = 0.95  # of the decisions of the hours in which it decided
CAUSE = "decider_fell"


def serving(history: History) -> list[tuple[str, str]]:
    """Returns (group, key) of the roles and releases that decided in the last day."""
    day = history.span(max(0, len(history) - DAY_HOURS), len(history))
    return [(g, key) for g in (ROLE, RELEASE) for key, sums in sorted(day.sums[g].items()) if sums[:, 0].any()]


def is_everything(history: History, group: str, key: str) -> bool:
    """True if it made NEARLY_ALL of the decisions of the last day's hours in which it decided."""
    day = history.span(max(0, len(history) - DAY_HOURS), len(history))
    if key not in day.sums[group]:
        return False
    mine = day.sums[group][key][:, 0]
    return bool(mine.sum() >= NEARLY_ALL * day.n[mine > 0].sum())


def signals(view: View, limits: tuple[float, float]) -> list[Signal]:
    """Returns a signal for each role and release that has something to be compared with; none of them alarms."""
    found = ((group, key, compared(view, limits, group, key)) for group, key in serving(view.history))
    return [_signal(view, limits, (group, key), sums) for group, key, sums in found if sums is not None]


def compared(view: View, limits: tuple[float, float], group: str, key: str) -> F64 | None:
    """Returns (T, 3): decisions as they count, Σr, Σr² of the recent hours, with the past that they are held against in
    the baseline; None where there is too little of that, or where it is everything's."""
    if is_everything(view.history, group, key) or (group == ROLE and key not in COMPARED):
        return None
    mine = _counted(view, view.history.sums[group][key], limits)
    past = mine if group == ROLE else _counted(view, view.history.sums["all"][""], limits)
    edge = view.m * view.P
    sums = np.concatenate([past[:edge], mine[edge:]])
    return sums if view.base(sums)[..., 1].sum() >= LEAST else None


def _counted(view: View, sums: F64, limits: tuple[float, float]) -> F64:
    """Returns (T, 3); decisions count by the arms on offer, where those come and go (alike/on_offer.py)."""
    n, s, square = watched(sums, MEAN, limits).T
    known = by_arms(view, MEAN, limits) if changing(view) else None
    return np.stack([n if known is None else n * known.exposure.offer, s, square], axis=1)


def found_and_due(view: View, limits: tuple[float, float], sums: F64, since: int) -> tuple[float, float]:
    """Returns Σr since the `since`-th recent hour, and what it should have been."""
    due = due_sums(view, sums, streams(view, MEAN, limits).whole)
    return float(view.recent(sums)[since:, 1].sum()), float(due[since:].sum())


def _signal(view: View, limits: tuple[float, float], who: tuple[str, str], sums: F64) -> Signal:
    made = streams(view, MEAN, limits)
    z, c, spread = of_sums(view, sums, made.whole, least=made.wider.get("segment", 1.0))
    steps = counts.fallen(view, sums, spread) if counts.is_counted(sums) and counts.few(view, sums) else None
    tell = partial(_told, view, limits, who, sums)
    return Signal(watch="reward", about=about(*who), z=-z, c=c, steps=steps, tell=tell, alarming=False)


def about(group: str, key: str) -> str:
    """'reward, role candidate'."""
    return f"{MEAN}, {group} {key}"


def _told(view: View, limits: tuple[float, float], who: tuple[str, str], sums: F64, since: int) -> Told:
    found, due = found_and_due(view, limits, sums, since)
    ratio = found / max(due, 1e-12)
    name, past = (f"release {who[1]}", "everybody's") if who[0] == RELEASE else (f"the {who[1]}", "its own")
    return Told(
        cause=CAUSE,
        number=ratio,
        threshold=1 - LARGE,
        says=f"{name} earns less: {found:,.0f} instead of the {due:,.0f} due by {past} same hours of past weeks "
        f"({ratio - 1:+.0%})",
        remedy="`croupier rollout status` compares the candidate with the champion beside it, and `croupier release "
        "list` says what serves since when",
        serious=False,
    )
