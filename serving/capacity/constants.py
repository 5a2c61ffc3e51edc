"""What one decision costs, measured on this machine by the product's own parts: an app of the reels world (20 reels, 5
to 12 offered, one decision in ten rewarded) is logged, shipped, joined, validated, encoded, trained on, judged,
published, and asked.

CPU time, of all threads, in the place of wall time: a busy machine changes it little. What is built and trained is
measured on two hours, one with a fifth of the other's decisions, and only what grows with them is counted.
"""

import os
import resource
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from croupier.features import build, scheduled
from croupier.features.encoding import catalogue
from croupier.features.log.ship import ship
from croupier.features.schema import CANDIDATE
from croupier.features.store import layout
from croupier.features.utc import HOUR, HOUR_SECONDS, SECOND, from_us
from croupier.features.workspace import Workspace
from croupier.features.worlds.reels import START, World
from croupier.models import training
from croupier.serving.capacity.counted import CountedStore
from croupier.serving.contract.requests import Request
from croupier.serving.decide import price_reader
from croupier.serving.embedded.embedded import Embedded
from croupier.serving.operate import succession, verdict_release
from croupier.serving.release import bundle_store
from croupier.serving.release.rollout_store import MirrorFollower

APP = "capacity"
FIRST = START // HOUR * HOUR + HOUR  # the log begins with an hour
BATCH = 64
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Constants:
    """CPU in µs and bytes a decision, with its share of rewards; requests to the store a look and a shipment.

    decide_us     asked alone, on record in the log (fsync) before it is answered, in the product's own process
    decide_64_us  the same, 64 at a time
    ship_us       from the log to the store      build_us   joined, validated, encoded
    train_us      every candidate trained and judged, a row of the training window
    spool_bytes   on the host's volume           log_bytes  shipped          built_bytes  joined, encoded, judged
    """

    decisions: int
    asked: int
    decide_us: float
    decide_64_us: float
    ship_us: float
    build_us: float
    train_us: float
    spool_bytes: float
    log_bytes: float
    built_bytes: float
    follow_reads: int
    ship_reads: int
    ship_writes: int


def measured(decisions: int, asked: int) -> Constants:
    """Measures with an hour of so many decisions, and so many asked; some twenty seconds, and a second more for each
    thousand. Raises ValueError where the log is too short."""
    with tempfile.TemporaryDirectory() as folder, _settings(Path(folder)):
        w, world = Workspace.open(APP), World()
        w.home.mkdir(parents=True)
        (w.home / layout.APP_TOML).write_text(world.app_toml(window_seconds=600))
        catalogue.write(w.home / layout.CATALOGUE, world.arms())
        first = _hour(w, world, 0, decisions // 5)  # libraries are loaded in it
        few, many = _hour(w, world, 1, decisions // 5), _hour(w, world, 2, decisions)
        stored = _stored(w, first.n + few.n + many.n)
        shipped = {"ship_us": many.ship / many.n, "ship_reads": many.reads, "ship_writes": many.writes}
        kept = {"spool_bytes": (many.spool - few.spool) / many.n}
        found = _grown(few, many) | stored | shipped | kept | _asked(w, world, asked)
        return Constants(decisions=decisions, asked=asked, **found)


@dataclass(frozen=True, kw_only=True)
class _Hour:
    """CPU (µs), requests, and the size of the spool afterwards."""

    n: int
    ship: float
    build: float
    train: float
    spool: int
    reads: int
    writes: int


def _hour(w: Workspace, world: World, i: int, n: int) -> _Hour:
    """An hour of the log becomes a verdict, which is published if it promotes."""
    start = FIRST + i * HOUR
    made, rewards = world.log(n, seed=i, start=start, gap=HOUR // (n + 1))
    with closing(w.spool()) as spool:
        spool.append_decisions(made)
        spool.append_rewards(rewards)
    kept = _bytes(w.home / layout.SPOOL)
    counted = CountedStore(w.store)
    with closing(w.spool()) as spool:
        _, shipped = _cpu(lambda: ship(spool, counted, host=w.settings.host))
    features, built = _cpu(lambda: _built(start))
    verdict, trained = _cpu(lambda: training.judge([training.train(**job) for job in training.plan([(APP, features)])]))
    verdict_release.publish_verdict(verdict[0])
    requests = {"reads": counted.calls["reads"], "writes": counted.calls["writes"]}
    return _Hour(n=n, ship=shipped, build=built, train=trained, spool=kept, **requests)


def _built(start: int) -> str:
    asked = from_us(start).isoformat(), from_us(start + HOUR).isoformat()
    build.collect(APP)
    scheduled.or_raise(scheduled.validate(APP, asked, scheduled.join(APP, asked)))
    return str(scheduled.encode(APP, asked)["features"])


def _grown(few: _Hour, many: _Hour) -> dict[str, Any]:
    """What building and training cost a row, without what they cost however many there are."""
    found = {f"{part}_us": (getattr(many, part) - getattr(few, part)) / (many.n - few.n) for part in ("build", "train")}
    if wrong := [part for part, cost in found.items() if cost <= 0]:
        found_at = f"found {many.n:,} decisions to cost no more than {few.n:,}"
        raise ValueError(f"{wrong[0]}: {found_at}, expected more; measure with more --decisions")
    return found


def _stored(w: Workspace, n: int) -> dict[str, Any]:
    store = w.home / layout.STORE
    built = (layout.INTERACTIONS, layout.FEATURES, layout.QUALITY, layout.VERDICTS)
    return {"log_bytes": _bytes(store / layout.LOG) / n, "built_bytes": sum(_bytes(store / each) for each in built) / n}


def _asked(w: Workspace, world: World, n: int) -> dict[str, Any]:
    """CPU of decisions by the trained policy, one at a time and 64 at a time; requests of a follower's look."""
    if CANDIDATE not in bundle_store.listed(w.store)[-1]["policies"]:
        raise ValueError("capacity: found no candidate promoted, expected one; measure with more --decisions")
    succession.promote(w.store, w.home, triton=None)
    visits = world.users(n + BATCH, np.random.default_rng(0))
    requests = [Request(unit_id=v.unit_id, context=v.context, arms=v.arms, arm_context=v.arm_context) for v in visits]
    with Embedded(APP, follow_seconds=HOUR_SECONDS) as app:
        app.select_batch(requests[:BATCH])
        _, one = _cpu(lambda: [app.select_batch([each]) for each in requests[BATCH:]])
        again = [replace(each, unit_id=f"{each.unit_id}-again") for each in requests[BATCH:]]
        batches = [again[i : i + BATCH] for i in range(0, n, BATCH)]
        _, many = _cpu(lambda: [app.select_batch(each) for each in batches])
    counted = CountedStore(w.store)
    bundle_store.current(counted)
    MirrorFollower(w.home).look(counted)
    price_reader.mirror(counted, w.home)
    return {"decide_us": one / n, "decide_64_us": many / n, "follow_reads": counted.calls["reads"]}


def _cpu(work: Callable[[], T]) -> tuple[T, float]:
    """(what it returned, the CPU time of this process and of its children, µs)"""
    before = _used()
    found = work()
    return found, SECOND * (_used() - before)


def _used() -> float:
    of = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in of)


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


@contextmanager
def _settings(var: Path) -> Iterator[None]:
    """The settings of a host by itself, whatever this one's are."""
    before = {name: value for name, value in os.environ.items() if name.startswith("CROUPIER_")}
    try:
        for name in before:
            del os.environ[name]
        os.environ.update({"CROUPIER_VAR": str(var), "CROUPIER_APP": APP, "CROUPIER_QUALITY_PAGES": "false"})
        yield
    finally:
        for name in [name for name in os.environ if name.startswith("CROUPIER_")]:
            del os.environ[name]
        os.environ.update(before)
