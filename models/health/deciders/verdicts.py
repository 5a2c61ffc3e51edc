"""A line for each role and release that serves now, and for each segment: fine, watch or act, since when, and why.

Segments and everything are acted on; roles and releases are only watched, except that a candidate which did harm is
acted on; what has no past of its own is only shown, and its level is "". A line invents nothing: its level is that of
the gravest symptom that concerns it. What makes nearly all of the decisions has the lines of everything.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from croupier.features.batch import F64
from croupier.features.schema import CANDIDATE
from croupier.models.health.alike.streams import MEAN, SHARE
from croupier.models.health.deciders import failing, past
from croupier.models.health.deciders.failing import FailedDay
from croupier.models.health.deciders.past import RELEASE, ROLE
from croupier.models.health.diagnosis import Diagnosis
from croupier.models.health.explained import LARGE, parts
from croupier.models.health.history import History
from croupier.models.health.season import DAY_HOURS, View
from croupier.models.health.symptom import FINE, LEVELS, Symptom

EVERYTHING, SEGMENT = "all", "segment"
ACTED_ON, WATCHED, SHOWN = "acted on", "watched", "shown"
MOST_LINES = 12  # of each group, those with the most decisions
Key = tuple[str, str]


@dataclass(frozen=True, kw_only=True)
class PartVerdict:
    """A line. `decisions`, their `share` of all, the `reward` a decision, and `fallbacks` as a share (None: not known)
    are of the last day. `number` is what was earned of what was due in the last day, or since the part's own symptom
    began (None: there is nothing to compare with), `threshold` what it must not fall below. `judged`: acted on |
    watched | shown."""

    group: str
    key: str
    level: str
    judged: str
    decisions: int
    share: float
    reward: float | None
    number: float | None
    threshold: float
    fallbacks: float | None = None
    since: int | None = None
    says: str = ""
    remedy: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The line as JSON."""
        return dict(vars(self))


def verdicts(
    history: History, diagnosis: Diagnosis, failed: Mapping[Key, FailedDay], limits: tuple[float, float] = (0.0, 1.0)
) -> tuple[PartVerdict, ...]:
    """Returns the lines of the last hour's diagnosis: everything, then roles, releases and segments, each the one with
    the most decisions first. `limits`: the range of a reward."""
    ratios = _ratios(history, limits)
    return tuple(
        _line(history, diagnosis, who, sums, ratio=ratios.get(who), failed=failed.get(who))
        for group in (EVERYTHING, ROLE, RELEASE, SEGMENT)
        for who, sums in _decided(history, group, failed)
    )


def _decided(history: History, group: str, failed: Mapping[Key, FailedDay]) -> list[tuple[Key, F64]]:
    """Returns the parts of a group that decided in the last day, or should have, with their sums (4,)."""
    day = history.span(max(0, len(history) - DAY_HOURS), len(history))
    sums = {(group, key): rows.sum(axis=0) for key, rows in day.sums[group].items() if rows[:, 0].any()}
    silent = {who: np.zeros(4) for who in failed if who[0] == group and who[1] in past.COMPARED}
    return sorted((silent | sums).items(), key=lambda each: -each[1][0])[:MOST_LINES]


def _line(
    history: History, diagnosis: Diagnosis, who: Key, sums: F64, *, ratio: float | None, failed: FailedDay | None
) -> PartVerdict:
    n, s, every = float(sums[0]), float(sums[1]), float(history.n[-DAY_HOURS:].sum())
    told = max(_about(history, diagnosis, who), key=_gravity, default=None)
    judged = _judged(history, who, known=ratio is not None and diagnosis.needed > 0)
    return PartVerdict(
        group=who[0],
        key=who[1],
        level=told.level if told else "" if judged == SHOWN else FINE,
        judged=judged,
        decisions=int(n),
        share=n / max(every, 1.0),
        reward=s / n if n else None,
        number=told.number if told and told.watch == "reward" and who[0] != EVERYTHING else ratio,
        threshold=1 - LARGE,
        fallbacks=failed.share if failed else None,
        since=told.since if told else None,
        says=told.says if told else "",
        remedy=told.remedy if told else "",
    )


def _gravity(symptom: Symptom) -> int:
    return LEVELS.index(symptom.level)


def _ratios(history: History, limits: tuple[float, float]) -> dict[Key, float]:
    """Returns what was earned in the last day of what was due, of each part that has a past."""
    view = View.of(history)
    if view is None:
        return {}
    since = view.R - DAY_HOURS
    of_traffic = {(p.group, p.key): p.ratio for p in parts(view, MEAN, limits, since) if p.due > 0}
    out = {who: ratio for who, ratio in of_traffic.items() if who[0] in (EVERYTHING, SEGMENT)}
    for who in past.serving(history):
        if past.is_everything(history, *who) and (EVERYTHING, "") in out:
            out[who] = out[EVERYTHING, ""]
        elif (sums := past.compared(view, limits, *who)) is not None:
            found, due = past.found_and_due(view, limits, sums, since)
            out[who] = found / max(due, 1e-12)
    return out


def _judged(history: History, who: Key, *, known: bool) -> str:
    if not known:
        return SHOWN
    own = who[0] in (ROLE, RELEASE) and not past.is_everything(history, *who)
    return WATCHED if own else ACTED_ON


def _about(history: History, diagnosis: Diagnosis, who: Key) -> Iterator[Symptom]:
    """Yields the symptoms that concern a part."""
    group, key = who
    if group == EVERYTHING:
        yield from diagnosis.symptoms
        return
    names = {past.about(*who), failing.about(*who), *(f"{what}, {group} {key}" for what in (MEAN, SHARE))}
    if group in (ROLE, RELEASE) and past.is_everything(history, *who):
        names |= {f"{what}, {EVERYTHING}" for what in (MEAN, SHARE)}
    for s in diagnosis.symptoms:
        harmed = s.cause == "harmful_candidate" and (s.about == f"{group} {key}" or who == (ROLE, CANDIDATE))
        turned = s.cause == "taste_flip" and s.says.startswith(f"{key.replace('=', ' ')} does not like")
        if s.about in names or harmed or (group == SEGMENT and turned):
            yield s
