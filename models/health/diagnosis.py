"""The verdict on an app: fine, watch or act; the cause first; and how often it would be wrong.

`false_alarms` a month is the budget of the whole page. Each of S signals has a detector whose average run length is
720 S / budget hours (models/health/detector.py), so that the alarms of all of them together come at most `budget` times
in the 720 hours of a month. What only asks to be watched has WATCHED times that rate.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from math import log
from typing import Any

import numpy as np

from croupier.models.health.alike.newcomers import unrewarded
from croupier.models.health.deciders import past
from croupier.models.health.detector import CLIPPED, detected, increments
from croupier.models.health.history import History
from croupier.models.health.lift import ChampionLift, lift
from croupier.models.health.season import LEAST_DAYS, View
from croupier.models.health.symptom import ACT, FINE, LEVELS, TO_WATCH, Signal, Symptom
from croupier.models.health.takeover import takeover
from croupier.models.health.watches import association, clocks, delay, exploration, features, reward, units, untold

MONTH = 720.0  # hours
WATCHED = 20.0
# what explains others comes first: a wrong clock shifts delays, a bot moves features and rewards, …
CAUSES = (
    "harmful_candidate", "clock_skew", "bot_traffic", "feature_swapped", "category_renamed", "feature_frozen",
    "feature_scaled", "premature_convergence", "reward_delay", "orphan_rewards", "late_rewards", "reward_feed_arm",
    "worse_choices", "rewards_lost", "taste_flip", "dying_arm", "feature_drift", "reward_change", "decider_fell",
    "fallbacks", "upkeep", "feature_silent", "feature_uninformative", "coverage", "unreliable_posterior",
    "poor_prediction", "linear_failure", "reward_rise",
)  # fmt: skip
# what a better policy does, too: watched only, where it began with another release or a rollout's step. An arm may be
# shown to others than before; that a whole segment gets less is no release's purpose
MAY_BE_MEANT = ("premature_convergence", "dying_arm")


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """What is said of an app at the end of an hour. `symptoms`: the gravest first, of equal ones the cause first.
    `signals`: how many streams are watched; `known`: hours of history; `weekly`: weekends are known."""

    level: str
    cause: str
    says: str
    remedy: str
    at: int
    symptoms: tuple[Symptom, ...]
    lift: ChampionLift | None
    signals: int
    needed: float
    known: int
    weekly: bool

    def to_dict(self) -> dict[str, Any]:
        """The diagnosis as JSON."""
        found = dict(vars(self))
        earned = vars(self.lift) if self.lift else None
        return found | {"symptoms": [s.to_dict() for s in self.symptoms], "lift": earned}


def diagnose(history: History, *, false_alarms: float = 0.5, limits: tuple[float, float] = (0.0, 1.0)) -> Diagnosis:
    """Judges the last hour of a history. `limits`: the range of a reward."""
    view = View.of(history)
    if view is None:
        return _unknown(history)
    signals = every_signal(view, limits)
    needed = log(MONTH * max(len(signals), 1) / false_alarms)
    silent = association.silent(view, needed)
    told = {s.about.removesuffix(association.ABOUT) for s in silent}
    beside = [*exploration.starved(view), *silent, *unrewarded(view, limits, needed)]
    found = [*_symptoms(view, signals, needed), *beside, *untold.symptoms(view, needed, but=told)]
    return Diagnosis(
        **_verdict(_sorted(found)),
        at=int(history.start[-1]),
        lift=lift(history),
        signals=len(signals),
        needed=needed,
        known=len(history),
        weekly=view.weekly,
    )


def without(diagnosis: Diagnosis, watches: Collection[str]) -> Diagnosis:
    """Returns the diagnosis as it would be if these watches had said nothing."""
    heard = [s for s in diagnosis.symptoms if s.watch not in watches]
    return diagnosis if len(heard) == len(diagnosis.symptoms) else replace(diagnosis, **_verdict(heard))


def also(diagnosis: Diagnosis, symptoms: Sequence[Symptom]) -> Diagnosis:
    """Returns the diagnosis with symptoms that hourly figures do not show. One that is too young to judge stays so,
    unless one of them is to be acted on."""
    found = _sorted([*diagnosis.symptoms, *symptoms])
    if not symptoms or (not diagnosis.needed and found[0].level != ACT):
        return replace(diagnosis, symptoms=tuple(found))
    return replace(diagnosis, **_verdict(found))


def _sorted(found: Sequence[Symptom]) -> list[Symptom]:
    """The gravest first, of equal ones the cause first."""
    return sorted(found, key=lambda s: (-LEVELS.index(s.level), CAUSES.index(s.cause), -(s.nats or 0.0)))


def _verdict(found: Sequence[Symptom]) -> dict[str, Any]:
    """What symptoms, the gravest first, come to."""
    first = _first(found)
    return {
        "level": found[0].level if found else FINE, "cause": first.cause if first else "",
        "says": first.says if first else "nothing is out of the ordinary", "remedy": first.remedy if first else "",
        "symptoms": tuple(found),
    }  # fmt: skip


def every_signal(view: View, limits: tuple[float, float]) -> list[Signal]:
    """Returns the signals of all families."""
    return [
        *reward.signals(view, limits), *features.signals(view), *units.signals(view), *delay.signals(view),
        *exploration.signals(view), *clocks.signals(view), *past.signals(view, limits),
    ]  # fmt: skip


def _symptoms(view: View, signals: Sequence[Signal], needed: float) -> list[Symptom]:
    if not signals:
        return []
    steps = increments(np.clip(np.stack([s.z for s in signals]), -CLIPPED, CLIPPED), np.stack([s.c for s in signals]))
    for k, s in enumerate(signals):
        if s.steps is not None:
            steps[:, k] = s.steps
    found = detected(steps)
    told = zip(signals, found.log_m.tolist(), found.since, strict=True)
    return [_symptom(view, s, nats, since, needed) for s, nats, since in told if nats >= needed - log(WATCHED)]


def _symptom(view: View, signal: Signal, nats: float, since: int, needed: float) -> Symptom:
    told = signal.tell(since)
    began = takeover(view, since)
    meant = bool(began) and told.cause in MAY_BE_MEANT
    known = view.weekly or not signal.seasonal
    sure = nats >= needed and told.serious and signal.alarming and known and not meant
    level = ACT if sure else TO_WATCH
    start = int(view.history.start[view.m * view.P + since])
    says = told.says + (f"; it began with {began}" if began else "")
    return Symptom(
        watch=signal.watch,
        about=signal.about,
        level=level,
        cause=told.cause,
        number=told.number,
        threshold=told.threshold,
        since=start,
        says=says,
        remedy=told.remedy,
        nats=nats,
        needed=needed,
    )


def _first(found: Sequence[Symptom]) -> Symptom | None:
    """The first line: the first cause in CAUSES of those that alarm, and of those that almost do, since what is only
    suspected may explain what is sure."""
    if not found:
        return None
    grave = [s for s in found if s.level == found[0].level]
    likely = [
        s
        for s in found
        if s.level == TO_WATCH
        and s.nats is not None
        and s.needed is not None
        and s.cause != "reward_rise"
        and s.nats > s.needed - log(WATCHED)
        and found[0].level == ACT
    ]
    return min([*grave, *likely], key=lambda s: (CAUSES.index(s.cause), -(s.nats or 0.0)))


def _unknown(history: History) -> Diagnosis:
    says = f"too young to be judged: {len(history)} hours are known, {(LEAST_DAYS + 1) * 24} are needed"
    return Diagnosis(
        level=FINE,
        cause="",
        says=says,
        remedy="",
        at=int(history.start[-1]),
        symptoms=(),
        lift=lift(history),
        signals=0,
        needed=0.0,
        known=len(history),
        weekly=False,
    )


def about_levels(diagnosis: Diagnosis, level: str) -> Diagnosis:
    """The diagnosis without the symptoms below a level."""
    kept = tuple(s for s in diagnosis.symptoms if LEVELS.index(s.level) >= LEVELS.index(level))
    return replace(diagnosis, symptoms=kept)
