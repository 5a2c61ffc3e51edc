"""The whole chain on one day of a reels app: time and peak memory of each step, each in a process of its own.

BENCH_CHAIN_ROWS says how many decisions the day has (a list: `250000,1000000`), BENCH_CHAIN_FOLDER where what was made
stays, so that a second run measures its steps again on the same log.
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa

from croupier.features.arrow import DECISIONS, REWARDS
from croupier.features.encoding import catalogue
from croupier.features.schema import ADDED
from croupier.features.store.storage import FolderStore
from croupier.features.utc import HOUR, from_us, hour_name
from croupier.features.workspace import Workspace
from croupier.features.worlds.reels import World
from croupier.features.worlds.reels_hours import ReelsHours

APP, HOURS, POLICY = "shop", 24, "lin_ts"
STEPS = ("join", "validate", "validate_day", "encode", "train", "gate")
NEUTRAL = {"stage": "", "catalogue": "", "encoder": "", "posterior_step": 0, "fallback_reason": "", "pass_probability": 1.0}  # fmt: skip


def rows() -> list[dict[str, Any]]:
    found = []
    with tempfile.TemporaryDirectory() as scratch:
        home = Path(os.environ.get("BENCH_CHAIN_FOLDER", scratch))
        for n in map(int, os.environ.get("BENCH_CHAIN_ROWS", "20000").split(",")):
            folder = home / str(n)
            if not folder.exists():
                write(folder, n)
            found += [row(n, step, measured(folder, step)) for step in asked()]
    return found


def asked() -> tuple[str, ...]:
    """The steps that are measured: all, unless BENCH_CHAIN_STEPS names some."""
    named = os.environ.get("BENCH_CHAIN_STEPS", "")
    return tuple(named.split(",")) if named else STEPS


def row(n: int, step: str, found: dict[str, Any]) -> dict[str, Any]:
    workload = f"{n:,} decisions; {found['seconds']:.1f} s; beside it memory that no file backs"
    return {
        "name": step, "workload": workload, "ours": found["peak"], "other": found["anonymous"], "unit": "MB",
        "ratio": 1.0, "ratio_min": 1.0, "ratio_max": 1.0, "rounds": 1, "target": "none", "met": True,
    }  # fmt: skip


def measured(folder: Path, step: str) -> dict[str, Any]:
    """What a process that does nothing but this step says of itself."""
    code = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import bench_chain; bench_chain.do({step!r})"
    )
    env = os.environ | {"CROUPIER_VAR": str(folder), "CROUPIER_APP": APP}
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, env=env)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(step, folder.name, found, flush=True)
    return found


def do(step: str) -> None:
    """Does one step on the app below CROUPIER_VAR, and prints its seconds and its peaks (MB) as JSON."""
    from croupier.features import build
    from croupier.models import training

    w, ended, seen = Workspace.open(APP), threading.Event(), [0.0]
    watch = threading.Thread(target=watched, args=(ended, seen))
    span, kept = span_of(ReelsHours()), w.home / "chain.json"
    known = json.loads(kept.read_text()) if kept.exists() else {}
    watch.start()
    began = time.perf_counter()
    if step == "join":
        known["day"] = build.join(APP, *span)
        known["account"] = build.join(APP, *an_hour(ReelsHours()))
    elif step == "validate_day":  # as one interval
        known["day_passed"] = build.validate(APP, *span, known["day"])[0].passed
    elif step == "validate":  # an hour, as build_features is scheduled
        known["passed"] = build.validate(APP, *an_hour(ReelsHours()), known["account"])[0].passed
    elif step == "encode":
        known["features"] = build.encode(APP, *span)["features"]
    elif step == "train":
        known["job"] = training.train(APP, known["features"], POLICY)
    else:
        known["summary"] = training.judge([known["job"]])[0]["summary"]
    seconds, cpu = time.perf_counter() - began, time.process_time()
    ended.set()
    watch.join()
    kept.write_text(json.dumps(known))
    print(json.dumps({"seconds": seconds, "cpu": cpu, "peak": of_status("VmHWM"), "anonymous": seen[0]}))


def watched(ended: threading.Event, seen: list[float]) -> None:
    while not ended.wait(0.005):
        seen[0] = max(seen[0], of_status("RssAnon"))


def of_status(name: str) -> float:
    """A line of this process's status, MB."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(lines[name].split()[0]) / 1024


def span_of(app: ReelsHours) -> tuple[str, str]:
    return from_us(app.start).isoformat(), from_us(app.start + HOURS * HOUR).isoformat()


def an_hour(app: ReelsHours) -> tuple[str, str]:
    """One of the day's, in the middle of it."""
    start = app.start + HOURS // 2 * HOUR
    return from_us(start).isoformat(), from_us(start + HOUR).isoformat()


def write(folder: Path, n: int) -> None:
    """The log of a day with about n decisions, as hosts ship it."""
    world = World(n_arms=10, population=max(3000, n // 10), candidates=(5, 10))
    app = ReelsHours(world=world, per_day=round(n / 1.14))  # of a day that is none of a weekend
    os.environ["CROUPIER_VAR"] = str(folder)
    w = Workspace.open(APP)
    w.home.mkdir(parents=True)
    (w.home / "app.toml").write_text(app.app_toml())
    catalogue.write(w.home / "catalogue.json", app.world.arms())
    for t in range(HOURS):
        frame = app.hour(t).interactions
        decided = frame.with_columns(pl.lit(value).alias(name) for name, value in (NEUTRAL | dict(ADDED)).items())
        write_hour(w, f"decisions/hour={hour_name(app.start + t * HOUR)}/h", decided, DECISIONS)
        came = frame.filter(pl.col("reward") > 0)
        rewards = came.select("event_id", at="reward_at", kind=pl.lit("click"), value=pl.lit(1.0), reward_id=pl.lit(""))
        for hour in range(app.start + t * HOUR, int(came["reward_at"].max()) + 1, HOUR):
            some = rewards.filter(pl.col("at") // HOUR * HOUR == hour)
            write_hour(w, f"rewards/hour={hour_name(hour)}/h-{t}", some, REWARDS)


def write_hour(w: Workspace, name: str, frame: pl.DataFrame, schema: pa.Schema) -> None:
    path = FolderStore(w.store.url).root / f"log/{name}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    frame.select(schema.names).cast(dict(pl.Schema(schema))).write_parquet(path)
