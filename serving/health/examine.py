"""An app examined: the figures of its hours are made where they are missing, and its last hour is judged."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import orjson

from croupier.features import clock
from croupier.features.health import kept
from croupier.features.reward import window_us
from croupier.features.spec_values import APPRENTICED
from croupier.features.store import layout
from croupier.features.store.partitions import versions_between
from croupier.features.utc import DAY, HOUR, from_us, hour_start, to_us
from croupier.features.workspace import Workspace
from croupier.models.health import noted
from croupier.models.health.deciders import failing
from croupier.models.health.deciders.verdicts import PartVerdict, verdicts
from croupier.models.health.diagnosis import Diagnosis, also, diagnose, without
from croupier.models.health.history import History
from croupier.models.health.linear.failure import LinearFit
from croupier.models.health.linear.kept import of_last_training
from croupier.models.health.noted import NotedChange
from croupier.models.health.season import DAY_HOURS, MOST_WEEKS, WEEK_HOURS
from croupier.models.health.symptom import ACT, Symptom
from croupier.models.health.watches import model, rollout, served, thumb
from croupier.models.health.watches.served import ServedDay
from croupier.models.retraining import champion_of
from croupier.serving.health import learnt, silences, upkeep
from croupier.serving.health.apprentice import AppAgreement, agreement
from croupier.serving.health.harm import of_rollout
from croupier.serving.health.learnt import Learnt
from croupier.serving.health.silences import Silence
from croupier.serving.health.sold import SoldAt, sold

REACH = timedelta(hours=(MOST_WEEKS + 1) * WEEK_HOURS)


class Unwell(RuntimeError):
    """The verdict on an app is *act*: the message is its sentence."""


@dataclass(frozen=True, eq=False)
class Examined:
    """What was found; `history` is None where no hour that has ended is joined, `diagnosis` then, too. What silenced
    watches found is not in the diagnosis, but in `silenced`; `silences` are those in force, by watch. `linear` is what
    the last training's rows say of linear models; None where that does not concern the champion, or nothing is known;
    `changes` are those that trainings count with. `left_out`: how many values of each undeclared feature requests were
    answered without, in the last day. `agreement`: with the app's own choice, in apprentice mode. `served`:
    how fast, and by whom, the last day's decisions were served; None where older versions made its figures. `parts`: a
    line for each role, release and segment. `learnt`: how well is learnt; nothing where no hour is joined. `prices`:
    what is sold at each, where arms are prices."""

    app: str
    history: History | None
    diagnosis: Diagnosis | None
    silenced: tuple[Symptom, ...] = ()
    silences: Mapping[str, Silence] = field(default_factory=dict)
    linear: LinearFit | None = None
    changes: tuple[NotedChange, ...] = ()
    left_out: Mapping[str, int] = field(default_factory=dict)
    agreement: AppAgreement | None = None
    served: ServedDay | None = None
    parts: tuple[PartVerdict, ...] = ()
    learnt: Learnt = field(default_factory=Learnt)
    prices: tuple[SoldAt, ...] = ()


def examine(w: Workspace, *, now: datetime | None = None) -> Examined:
    """Examines an app at `now`. Hours are judged once they are joined, after their reward window. Safe to repeat."""
    end = now or clock.now()
    newest, hushed = newest_hour(w, end), silences.in_force(w.store, to_us(end))
    if newest is None:
        return Examined(w.settings.app, None, None, silences=hushed)
    last = from_us(hour_start(newest) + HOUR)
    kept.keep(w.store, w.spec, start=last - REACH, end=last)
    hours = kept.read(w.store, start=last - REACH, end=last)
    history = History.of(hours)
    limits = w.spec.reward.range
    said = diagnose(history, false_alarms=w.spec.health.false_alarms, limits=limits)
    linear, changes, how = _linear(w), tuple(noted.every(w.store)), learnt.learnt_so_far(w, history)
    day, failed = served.of_day(hours), failing.of_day(hours)
    beside = [
        *rollout.symptoms(of_rollout(w.store), history, now=to_us(end)),
        *model.symptoms(linear, w.spec.policies.candidates),
        *how.symptoms(),
        *served.symptoms(day),
        *failing.symptoms(failed, history),
        *thumb.symptoms(history, w.spec.health.reward_change),
        *upkeep.symptoms(w, now=to_us(end)),
    ]
    silenced = tuple(s for s in (*said.symptoms, *beside) if s.watch in hushed)
    found = also(without(said, hushed), [s for s in beside if s.watch not in hushed])
    agreed = agreement(w, end=last) if w.spec.requests.learning_mode == APPRENTICED else None
    lines = verdicts(history, found, failed, limits)
    return Examined(
        w.settings.app,
        history,
        found,
        silenced=silenced,
        silences=hushed,
        linear=linear,
        changes=changes,
        left_out=_left_out(hours[-DAY_HOURS:]),
        agreement=agreed,
        served=day,
        parts=lines,
        learnt=how,
        prices=sold(w, end=last),
    )


def _linear(w: Workspace) -> LinearFit | None:
    """What a nonlinear policy would earn, where that is a question."""
    champion = champion_of(w).family
    return of_last_training(w) if model.asked(champion, w.spec.policies.candidates) else None


def _left_out(hours: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    total = Counter[str]()
    for hour in hours:
        total.update(hour.get("left_out", {}))
    return dict(sorted(total.items(), key=lambda each: (-each[1], each[0])))


def newest_hour(w: Workspace, end: datetime) -> str | None:
    """The last hour that is joined and mature before `end`; None where there is none."""
    last = to_us(end) - window_us(w.spec.reward) - HOUR
    for days in (2, 60, last // DAY):  # nearly always the first; hours are listed from the last one back
        if hours := [h for h in versions_between(w.store, last - days * DAY, last) if hour_start(h) <= last]:
            return max(hours)
    return None


def keep(app: str) -> dict[str, Any]:
    """Examines an app and keeps its page and what was said, with the time ("examined", UTC µs), in the store; returns
    the latter. What the `monitor` DAG does. A change of the users is noted, where the app asks for more than an alarm:
    its next training reads that."""
    from croupier.serving.health import told, verdict_page

    w = Workspace.open(app)
    found = examine(w)
    if found.diagnosis is not None:
        noted.note(w.store, w.spec.health, found.diagnosis.symptoms, now=clock.now_us())
    found = replace(found, changes=tuple(noted.every(w.store)))
    said = told.as_json(found) | {"examined": clock.now_us()}
    w.store.put(layout.report(layout.HEALTH_PAGE), verdict_page.render_page(found).encode())
    w.store.put(layout.report(layout.HEALTH_SAID), orjson.dumps(said))
    return said


def or_raise(said: dict[str, Any]) -> None:
    """Raises Unwell if what was kept says *act*."""
    if said["level"] == ACT:
        raise Unwell(said["sentence"])


def last_said(w: Workspace) -> dict[str, Any] | None:
    """What was last kept of an app; None where nothing was. Raises ValueError where it is no JSON object."""
    raw, known = w.store.read(layout.report(layout.HEALTH_SAID))
    if known is None:
        return None
    found = orjson.loads(raw)
    if not isinstance(found, dict) or not {"sentence", "level"} <= set(found):
        raise ValueError(f"{layout.HEALTH_SAID}: found {found!r:.80}, expected what `monitor` keeps; let it run again")
    return found
