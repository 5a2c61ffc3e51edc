"""Thirty days of the loop on a virtual clock: a crowd, the DAGs' functions in their own order, and the truth beside it.

From a catalogue, an `app.toml` and `uniform` alone. Each virtual hour: `collect_events`, `build_features` and, if a
training is due, `train_and_gate` at its start; the crowd all hour; `watch_rollout` at its end, and at the end of each
third hour once everybody has what was promoted (the DAG looks each minute). Nothing is handed over that the DAGs would
not find in the store by themselves. A part may be down for some hours (outages.py).

What a month has come to is kept at the end of each day beside its app (ledger.py), and a month that ended goes on from
there: for longer, or, as a copy, into other days.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from croupier.features import clock
from croupier.features.encoding import catalogue
from croupier.features.interactions import window
from croupier.features.log.shipped import open_log
from croupier.features.reward import window_us
from croupier.features.settings import Settings
from croupier.features.store import layout
from croupier.features.store.partitions import log_objects
from croupier.features.store.released import PROMOTION
from croupier.features.store.storage import StoreUnavailable
from croupier.features.utc import DAY, HOUR, SECOND, hour_start, to_us, us_of
from croupier.features.workspace import Workspace
from croupier.features.worlds.reels import World
from croupier.serving.operate import loop, verdict_release
from croupier.serving.release import bundle_store, rollout_store
from croupier.serving.simulation.month import turn
from croupier.serving.simulation.month.crowd import Crowd
from croupier.serving.simulation.month.ledger import MonthLedger
from croupier.serving.simulation.month.outages import Outages, store_down
from croupier.serving.simulation.month.site import Site

APP = "month"
TICKS = 6  # of the crowd, an hour: decisions of one tick carry one time
REWARD_SECONDS = 60
WATCHED_EACH = 3  # hours between two looks at a release that everybody has

SETTINGS = """
[training]
days = {days}
every = "{every}"
[refresh]
every = "12h"
[policies]
candidates = ["neural_linear"]
floor = 0.02
[policies.parameters.neural_linear]
hidden = [64, 64]
[rollout]
min_decisions = 500
max_seconds = 864000
latency_p99_ms = 60000.0
"""


@dataclass(frozen=True, kw_only=True)
class MonthPlan:
    """`down`: the hours since the start in which a part is down (outages.py)."""

    crowd: Crowd
    days: int
    every: str = "6h"
    window_days: float = 30.0
    down: Outages = field(default_factory=dict)

    def is_down(self, part: str, hour: int) -> bool:
        """True if this part of the loop is down in this hour."""
        return hour in self.down.get(part, ())


def run(plan: MonthPlan, var: Path, *, resume: bool = False, progress: Callable[[int], object] = int) -> dict[str, Any]:
    """The month below `var`; `progress` is told of each hour that is over. Returns what `summary` says.

    `resume`: the month that ended below `var` goes on. Raises ValueError where there is none, or it was cut off."""
    if not resume:
        shutil.rmtree(var / APP, ignore_errors=True)
    with turn.settings(
        CROUPIER_VAR=str(var.absolute()), CROUPIER_STORE="", CROUPIER_CLOCK="", CROUPIER_QUALITY_PAGES="false"
    ):
        w = Workspace(Settings(var=var.absolute(), app=APP))
        return _run(plan, w, _ended(plan, w) if resume else _begun(plan, w), progress)


def _begun(plan: MonthPlan, w: Workspace) -> MonthLedger:
    """The app as its owner leaves it: app.toml, a catalogue, and release 1, which is uniform."""
    crowd = plan.crowd
    w.home.mkdir(parents=True)
    text = crowd.world.app_toml(window_seconds=600)
    settings = SETTINGS.format(days=plan.window_days, every=plan.every)
    (w.home / layout.APP_TOML).write_text(text[: text.index("[policies]")] + settings)
    catalogue.write(w.home / layout.CATALOGUE, crowd.arms(crowd.start))
    with turn.quietly(), clock.at(crowd.start):
        verdict_release.bootstrap(w)
    return MonthLedger()


def _ended(plan: MonthPlan, w: Workspace) -> MonthLedger:
    """What the month below the workspace came to. Raises ValueError where its log is already further than that."""
    ledger, later = MonthLedger.read(w.home), log_objects(w.store, "decisions")
    if later and hour_start(max(later)) >= plan.crowd.start + ledger.hours * HOUR:
        raise ValueError(
            f"{w.home}: found decisions of {max(later)}, expected none after {ledger.hours} hours: this month "
            "was cut off in the midst of a day, and cannot go on; begin it anew, without --resume"
        )
    return ledger


def _run(plan: MonthPlan, w: Workspace, ledger: MonthLedger, progress: Callable[[int], object]) -> dict[str, Any]:
    progress(ledger.hours)
    with turn.quietly(), Site(w) as site:
        for hour in range(ledger.hours, 24 * plan.days):
            with store_down(w.home / layout.STORE, down=plan.is_down("store", hour)):
                _hour(plan, site, ledger, hour)
            ledger.hours = hour + 1
            if ledger.hours % 24 == 0:
                ledger.write(w.home)
            progress(1)
    with clock.at(plan.crowd.start + plan.days * DAY):
        return summary(w, plan, ledger)


def _hour(plan: MonthPlan, site: Site, ledger: MonthLedger, hour: int) -> None:
    start = plan.crowd.start + hour * HOUR
    with clock.at(start):
        _tried(plan, ledger, hour, partial(_catalogue, plan.crowd, ledger, start))
    if not plan.is_down("airflow", hour):
        with clock.at(start):
            _tried(plan, ledger, hour, partial(_turns, ledger, start, plan.crowd.start))
    for tick in range(TICKS):
        at = start + tick * HOUR // TICKS
        with clock.at(at):
            if plan.is_down("triton", hour):
                _unanswered(plan.crowd, ledger, at)
            else:
                _crowd(plan.crowd, site, ledger, at)
    if not plan.is_down("airflow", hour):
        with clock.at(start + HOUR - 1):
            _tried(plan, ledger, hour, partial(_look, ledger, start, plan.crowd.start))


def _catalogue(crowd: Crowd, ledger: MonthLedger, at: int) -> None:
    """The owner writes the day's arms; the host releases them by itself."""
    ledger.catalogue += turn.change_catalogue(APP, crowd.arms(at), at)


def _tried(plan: MonthPlan, ledger: MonthLedger, hour: int, run: Callable[[], None]) -> None:
    """A run fails while the store is down, and at no other time."""
    try:
        run()
    except (StoreUnavailable, OSError):
        if not plan.is_down("store", hour):
            raise
        ledger.failed += 1


def _turns(ledger: MonthLedger, at: int, start: int) -> None:
    """collect_events and build_features are due at the full hour; a training when build_features finds it due."""
    loop.collect_events(APP)
    features, _ = loop.build_features(APP)
    if features:
        verdict = loop.train_and_gate(APP, features)
        row = {"day": 1 + (at - start) // DAY, "hour": (at - start) // HOUR, "summary": verdict["summary"]}
        ledger.verdicts.append(row | {"kind": verdict["kind"], "published": verdict["published"]})
        if verdict["kind"] == PROMOTION:
            ledger.promoted.append(int(row["day"]))


def _look(ledger: MonthLedger, at: int, start: int) -> None:
    state = rollout_store.read_state(Workspace.open(APP).store)
    if state is not None and state.watched and (at - start) // HOUR % WATCHED_EACH:
        return
    seen = loop.watch_rollout(APP)
    if seen.get("promoted") is not None:
        ledger.reached_100.append(int(1 + (at - start) // DAY))


def _crowd(crowd: Crowd, site: Site, ledger: MonthLedger, at: int) -> None:
    """The visits until the next tick: answered, clicked, and their truth added up."""
    visits = crowd.visits(at, HOUR / SECOND / TICKS)
    answers = site.select(visits) if visits else []
    ledger.errors += sum(bool(a.error) for a in answers)
    good = [(v, a) for v, a in zip(visits, answers, strict=True) if not a.error]
    shown = [v for v, _ in good]
    places = [v.arms.index(a.arm) for v, a in good]
    hits = crowd.clicks(at, shown, places)
    clicked = [a.event_id for (_, a), hit in zip(good, hits, strict=True) if hit]
    if clicked:
        site.reward(clicked, "click", 1.0, at + REWARD_SECONDS * SECOND)
    ledger.add(int((at - crowd.start) // DAY), crowd.values(at, shown, [a.pmf for _, a in good]))


def _unanswered(crowd: Crowd, ledger: MonthLedger, at: int) -> None:
    """Answers without a server: callers draw uniformly by themselves."""
    visits = crowd.visits(at, HOUR / SECOND / TICKS)
    uniform = [[1.0 / len(visit.arms)] * len(visit.arms) for visit in visits]
    ledger.add(int((at - crowd.start) // DAY), crowd.values(at, visits, uniform))


def summary(w: Workspace, plan: MonthPlan, ledger: MonthLedger) -> dict[str, Any]:
    """Shares of the best policy's lift over uniform by day, and what became of every row, release and verdict."""
    lift = [_share(ledger.days.get(day)) for day in range(plan.days)]
    last = {name: sum(ledger.days[d][name] for d in list(ledger.days)[-5:]) for name in ("uniform", "served", "best")}
    state = rollout_store.read_state(w.store)
    return {
        "days": plan.days,
        "seed": plan.crowd.world.seed,
        "decisions": sum(day["decisions"] for day in ledger.days.values()),
        "trained_share": trained_share(w),
        "lift_share_of_best": _share(last),
        "lift_by_day": lift,
        "value_by_day": [_means(ledger.days.get(day)) for day in range(plan.days)],
        "releases": [r["number"] for r in bundle_store.listed(w.store)],
        "reached_100_day": ledger.reached_100,
        "promoted_days": ledger.promoted,
        "catalogue": ledger.catalogue,
        "verdicts": ledger.verdicts,
        "errors": ledger.errors,
        "failed_runs": ledger.failed,
        "stage": state.stage if state else "",
    }


def _share(sums: dict[str, float] | None) -> float:
    """Returns (served − uniform) / (best − uniform); 0 where nobody came."""
    if not sums or sums["best"] <= sums["uniform"]:
        return 0.0
    return (sums["served"] - sums["uniform"]) / (sums["best"] - sums["uniform"])


def _means(sums: dict[str, float] | None) -> dict[str, float]:
    if not sums or not sums["decisions"]:
        return {}
    return {name: sums[name] / sums["decisions"] for name in ("uniform", "served", "best")}


def trained_share(w: Workspace) -> float:
    """Returns the share of the rows mature when the last training began that it or, before its window, an earlier one
    had: 1 if no hour was forgotten."""
    ended = window.last_training(w.store)
    if not ended:
        return 0.0
    mature = ended["at"] - window_us(w.spec.reward) - HOUR
    first = ended["at"] - us_of(w.spec.training.days * DAY / SECOND + w.spec.reward.window_seconds)
    with open_log(w.store) as log:
        hours = log.hours("decisions", first // HOUR * HOUR, mature)
        there = sum(log.rows("decisions", h) for h in hours)
    return sum(ended["hours"].get(h, 0) for h in hours) / there if there else 0.0


def start_of(text: str) -> int:
    """Returns UTC µs of an ISO time with a zone."""
    return to_us(datetime.fromisoformat(text))


def crowd_of(seed: int, *, per_day: int, flip: int = 0, churn: bool = False) -> Crowd:
    """The crowd of `croupier simulate loop`: it begins on 1 March 2026, a Sunday."""
    return Crowd(
        world=World(seed=seed), start=start_of("2026-03-01T00:00:00+00:00"), per_day=per_day, flip=flip, churn=churn
    )
