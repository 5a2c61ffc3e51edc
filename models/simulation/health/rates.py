"""`croupier simulate health`: false alarms of sound months, and how planted faults are found and named.

Every hour of a seed's app (worlds.py) is generated, its figures are made as from a store, and each rule judges it as
it would have then. An alarm is the hour at which a rule begins to alarm, a day or more after it last did. A fault is
*named* if the first line of the first alarm after it says its cause; it has a week to be found.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from croupier.features.health.figures import figures
from croupier.features.health.hosts import hashed
from croupier.features.spec import AppSpec
from croupier.features.utc import HOUR, hour_name
from croupier.features.worlds.hours import HourlyWorld, Trouble
from croupier.models.health.diagnosis import MONTH, diagnose
from croupier.models.health.history import History
from croupier.models.health.season import DAY_HOURS, MOST_WEEKS, WEEK_HOURS
from croupier.models.health.symptom import ACT
from croupier.models.simulation.health.compared import RULES, names, touched
from croupier.models.simulation.health.faults import FAULTS, Planted
from croupier.models.simulation.health.faults import of as faults_of
from croupier.models.simulation.health.worlds import PER_DAY, REELS, SAID, made

WARM = 2 * WEEK_HOURS + DAY_HOURS  # hours before the first judgement
MOST = (MOST_WEEKS + 1) * WEEK_HOURS  # hours that a judgement reads
RULES_HOURS = DAY_HOURS + 1  # that the compared rules have at least: most of them look at a day, so then they saw one
OURS = "croupier"
Found = dict[str, Any]
Work = tuple[int, dict[str, Any], tuple[str, ...]]  # seed, what was asked, faults


@dataclass(frozen=True, eq=False)
class Run:
    """One seed's app: its sound hours, and the same with a fault from some hour on."""

    app: HourlyWorld
    hours: int
    false_alarms: float
    faults: Mapping[str, Planted] = field(default_factory=lambda: FAULTS)

    @cached_property
    def spec(self) -> AppSpec:
        """What the app declares."""
        import tomllib

        return AppSpec.model_validate(tomllib.loads(self.app.app_toml()))

    def figures(self, t: int, trouble: Trouble | None = None) -> Mapping[str, Any]:
        """Returns the figures of an hour, as the store would hold them."""
        made = self.app.hour(t, trouble)
        found = figures(made.interactions, self.spec, account=made.account, logged=hashed(made.logged))
        return found | {"hour": hour_name(self.app.start + t * HOUR)}

    @cached_property
    def sound(self) -> list[Mapping[str, Any]]:
        """The hours without any fault."""
        return [self.figures(t) for t in range(self.hours)]

    def said(self, history: History, *, rules: Sequence[str]) -> dict[str, str]:
        """What each of `rules` names at the end of a history; "" where it does not alarm."""
        out = {name: RULES[name](history) for name in rules if name != OURS}
        if OURS in rules:
            found = diagnose(history, false_alarms=self.false_alarms)
            out[OURS] = found.cause if found.level == ACT else ""
        return out


def episodes(said: Sequence[str]) -> list[str]:
    """What was said where an alarm began: a day or more after the last one."""
    out, last = [], -DAY_HOURS - 1
    for t, cause in enumerate(said):
        if cause:
            if t - last > DAY_HOURS:
                out.append(cause)
            last = t
    return out


def sound_month(run: Run, step: Callable[[int], None]) -> Found:
    """Counts the alarms of the sound hours, of each rule."""
    whole = History.of(run.sound)
    said: dict[str, list[str]] = {name: [] for name in (OURS, *RULES)}
    for t in range(WARM, run.hours):
        for name, cause in run.said(whole.span(max(0, t + 1 - MOST), t + 1), rules=(OURS, *RULES)).items():
            said[name].append(cause)
        step(1)
    return {"hours": run.hours - WARM, "alarms": {name: episodes(causes) for name, causes in said.items()}}


def planted(run: Run, fault: str, onset: int, horizon: int) -> Found:
    """Returns, of each rule, {"hours" until its first alarm, "named"}; hours is None where it never came."""
    cause, make = run.faults[fault]
    trouble = make(run.app.seed, onset)
    out: Found = {}
    for t, history in _after(run, trouble, onset, horizon):
        waiting = [name for name in (OURS, *RULES) if name not in out]
        for name, said in run.said(history, rules=waiting).items():
            if said and name not in out:
                right = said == cause if name == OURS else names(said, cause, touched(trouble))
                out[name] = {"hours": t - onset + 1, "named": right, "said": said}
        if OURS in out and t - onset + 1 >= RULES_HOURS:
            break
    never = {"hours": None, "named": False, "said": ""}
    return {name: out.get(name, never) for name in (OURS, *RULES)}


def _after(run: Run, trouble: Trouble, onset: int, horizon: int) -> Iterator[tuple[int, History]]:
    """The history at the end of each hour since the onset; hours are made as they are asked for."""
    first, since = max(0, onset - MOST), list[Mapping[str, Any]]()
    chunk = 1
    while len(since) < horizon:
        done = len(since)
        since += [run.figures(t, trouble) for t in range(onset + done, onset + min(done + chunk, horizon))]
        whole = History.of([*run.sound[first:onset], *since])
        for k in range(done, len(since)):
            end = onset - first + k + 1
            yield onset + k, whole.span(max(0, end - MOST), end)
        chunk = min(2 * chunk, DAY_HOURS)


def count(
    *,
    seeds: int,
    days: int,
    per_day: int | None = None,
    false_alarms: float = 0.5,
    first: int = 0,
    world: str = REELS,
    wheel: Path | None = None,
    faults: Sequence[str] | None = None,
    jobs: int = 1,
    progress: Callable[[int], None] = lambda _: None,
) -> Found:
    """Returns `false_alarms_per_app_month`, `faults` (all of the world's unless some are named) and the same of each
    compared rule under `rules`. `jobs`: seeds at a time. Raises ValueError for too few days, and for a world or fault
    that is not known."""
    if days * DAY_HOURS <= WARM + DAY_HOURS:
        raise ValueError(
            f"--days: found {days}, expected more than {WARM // DAY_HOURS + 1}: two weeks are learnt from first"
        )
    faults = _known(world, faults)
    asked = {"days": days, "per_day": per_day, "false_alarms": false_alarms, "world": world, "wheel": wheel}
    made(world, seed=first, per_day=per_day, wheel=wheel)  # refuses what no seed can play
    work = [(seed, asked, tuple(faults)) for seed in range(first, first + seeds)]
    played = [_seed(one, progress) for one in work] if jobs == 1 else _side_by_side(work, jobs, progress)
    months = [month for month, _ in played]
    found = {fault: [rows[fault] for _, rows in played] for fault in faults}
    table = {name: _rates(name, months, found) for name in (OURS, *RULES)}
    run = {"seeds": seeds, "days": days, "per_day": per_day or PER_DAY[world], "budget": false_alarms}
    hours = sum(m["hours"] for m in months)
    return {**table[OURS], "made": run | {"world": SAID[world], "name": world}, "app_months": hours / MONTH,
            "false": [m["alarms"][OURS] for m in months], "rules": {name: table[name] for name in RULES}}  # fmt: skip


def _side_by_side(work: Sequence[Work], jobs: int, progress: Callable[[int], None]) -> list[tuple[Found, Found]]:
    """Plays seeds in processes of their own; a whole seed is told of at once."""
    played = []
    with ProcessPoolExecutor(max_workers=jobs, mp_context=get_context("spawn")) as pool:
        for one in pool.map(_seed, work):
            progress(one[0]["hours"] + DAY_HOURS * len(one[1]))
            played.append(one)
    return played


def _seed(work: Work, progress: Callable[[int], None] = lambda _: None) -> tuple[Found, Found]:
    """Returns a seed's sound month, and what was found of each fault."""
    seed, asked, faults = work
    world, days = asked["world"], asked["days"]
    app = made(world, seed=seed, per_day=asked["per_day"], wheel=asked["wheel"])
    run = Run(app, days * DAY_HOURS, asked["false_alarms"], faults_of(world))
    month, found = sound_month(run, progress), Found()
    for fault in faults:
        found[fault] = planted(run, fault, onset_of(seed, days), WEEK_HOURS)
        progress(DAY_HOURS)
    return month, found


def onset_of(seed: int, days: int) -> int:
    """Returns the hour from which on a seed's faults are planted, a day or more after its first judgement."""
    last = max(days * DAY_HOURS - WARM, DAY_HOURS + 1)
    return WARM + int(np.random.default_rng([seed, 13]).integers(DAY_HOURS, last))


def _known(world: str, faults: Sequence[str] | None) -> Sequence[str]:
    known = faults_of(world)
    unknown = [fault for fault in faults or () if fault not in known]
    if unknown:
        raise ValueError(f"--fault: found {unknown[0]!r}, expected one of {', '.join(map(repr, known))}")
    return faults or tuple(known)


def _rates(name: str, months: Sequence[Found], found: Mapping[str, Sequence[Found]]) -> Found:
    hours, alarms = sum(m["hours"] for m in months), sum(len(m["alarms"][name]) for m in months)
    faults = {fault: _fault([row[name] for row in rows]) for fault, rows in found.items() if rows}
    return {"false_alarms_per_app_month": alarms / hours * MONTH, "faults": faults}


def _fault(rows: Sequence[Found]) -> Found:
    times = [row["hours"] for row in rows if row["hours"] is not None]
    return {
        "named_rate": sum(row["named"] for row in rows) / len(rows),
        "detected_rate": len(times) / len(rows),
        "median_delay_hours": median(times) if times else None,
        "said": sorted({row["said"] for row in rows if row["said"]}),
    }
