"""The log's speed: join and account beside the bare engine on the same files, appends beside bare SQLite.

`BENCH_JOIN_ROWS=10000000` measures the memory of the ten-million-row join too (some minutes).
"""

import os
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import orjson
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from croupier.features.arrow import DECISIONS, REWARDS
from croupier.features.ids import uuid7
from croupier.features.interactions.join import join_interval
from croupier.features.log.spool import Spool
from croupier.features.schema import ADDED, Decision
from croupier.features.spec import RewardSpec
from croupier.features.store.storage import FolderStore
from croupier.features.utc import HOUR, hour_name, to_us

START, HOURS, K = datetime(2026, 1, 1, tzinfo=UTC), 24, 5
T0 = to_us(START)
SCRATCH = Path(__file__).resolve().parents[2] / "var" / "bench"


def rows() -> list[dict[str, Any]]:
    SCRATCH.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=SCRATCH) as folder:
        return [*join_rows(Path(folder)), *append_rows(Path(folder)), latency_row(Path(folder))]


def row(
    name: str, workload: str, ours: list[float], other: list[float], *, unit: str, target: str, met: bool
) -> dict[str, Any]:
    ratios = [a / b for a, b in zip(ours, other, strict=True)]
    return {
        "name": name,
        "workload": workload,
        "ours": median(ours),
        "other": median(other),
        "unit": unit,
        "ratio": median(ratios),
        "ratio_min": min(ratios),
        "ratio_max": max(ratios),
        "rounds": len(ratios),
        "target": target,
        "met": met,
    }


def join_rows(folder: Path, rounds: int = 3) -> list[dict[str, Any]]:
    write_log(folder / "log2m", 2_000_000)
    ours, other = [], []
    for _ in range(rounds):
        other.append(seconds(lambda: bare_join(folder / "log2m")))
        ours.append(seconds(lambda: join(folder / "log2m")))
    ratio = median(a / b for a, b in zip(ours, other, strict=True))
    found = [
        row(
            "join + account",
            "2M decisions left-joined with 0.4M rewards → 24 hours, beside Polars' own join → one file",
            ours,
            other,
            unit="s",
            target="≤ 1.5",
            met=ratio <= 1.5,
        )
    ]
    n = int(os.environ.get("BENCH_JOIN_ROWS", "2000000"))
    if n > 2_000_000:
        write_log(folder / "large", n)
    peak = peak_gigabytes(folder / ("large" if n > 2_000_000 else "log2m"))
    found.append(
        row(
            "join memory",
            f"{n / 1e6:.0f}M decisions, peak of the process",
            [peak],
            [4.0],
            unit="GB",
            target="≤ 4 GB at 10M",
            met=n >= 10_000_000 and peak <= 4.0,
        )
    )
    return found


def seconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def join(log: Path) -> None:
    with tempfile.TemporaryDirectory(dir=log.parent) as out:
        store = FolderStore(out)
        (store.root / "log").symlink_to(log / "log")
        end, now = START + timedelta(hours=HOURS + 3), START + timedelta(days=9)
        total = join_interval(LinkedStore(store.url), RewardSpec(), start=START, end=end, now=now)
        if not total.balanced or total.interactions != total.decisions_in:
            raise RuntimeError(f"the join under test is wrong: {total}")


class LinkedStore(FolderStore):
    """Lists through the link to the shared log, so that every round joins the same files into a new folder."""

    def list(self, prefix: str) -> list[str]:
        if not prefix.startswith("log/"):
            return super().list(prefix)
        return sorted(p.relative_to(self.root).as_posix() for p in (self.root / prefix).rglob("*.parquet"))


def bare_join(log: Path) -> None:
    """What the engine does when asked for just this join: distinct rewards, inside the window, summed, one file."""
    decisions = pl.scan_parquet(log / "log/decisions/*/*.parquet")
    rewards = pl.scan_parquet(log / "log/rewards/*/*.parquet").unique(["event_id", "reward_id"])
    on_time = (
        rewards.join(decisions.select("event_id", decided_at="at"), on="event_id")
        .filter(pl.col("at") - pl.col("decided_at") <= HOUR)
        .group_by("event_id")
        .agg(pl.col("value").sum().alias("reward"), pl.len().alias("reward_count"))
    )
    joined = decisions.join(on_time, on="event_id", how="left").with_columns(pl.col("reward").fill_null(0.0))
    joined.sink_parquet(log.parent / "bare.parquet", compression="zstd", compression_level=1)


def peak_gigabytes(log: Path) -> float:
    """Of a process that does nothing but this join."""
    code = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import bench_features_log as b, pathlib;"
    code += f"b.join(pathlib.Path({str(log)!r})); print(b.resource.getrusage(b.resource.RUSAGE_SELF).ru_maxrss)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return int(done.stdout) / 2**20


def write_log(root: Path, n: int) -> None:
    """n decisions over a day and a fifth as many rewards, of which some are repeats and some late."""
    rng, per = np.random.default_rng(0), n // HOURS
    for h in range(HOURS):
        ids = [f"{T0 // 1000 + h * 3_600_000:012x}-{h:04x}-{i:016x}" for i in range(per)]
        at = np.sort(T0 + h * HOUR + rng.integers(0, HOUR, per))
        write(log_path(root, "decisions", h, h), decision_columns(ids, at, rng), DECISIONS)
        chosen = rng.choice(per, per // 5)
        came = at[chosen] + rng.integers(0, 3 * HOUR // 2, len(chosen))
        for hour in np.unique((came - T0) // HOUR):
            some = np.flatnonzero((came - T0) // HOUR == hour)
            columns = [[ids[i] for i in chosen[some]], came[some], ["click"] * len(some), np.ones(len(some)),
                       [str(i) for i in rng.integers(0, 3, len(some))]]  # fmt: skip
            write(log_path(root, "rewards", int(hour), h), columns, REWARDS)


def decision_columns(ids: list[str], at: Any, rng: np.random.Generator) -> list[Any]:
    n = len(ids)
    offsets = np.arange(0, n * K + 1, K, dtype=np.int32)
    context = [f'{{"age":{a},"country":"c{c}"}}' for a, c in zip(*rng.integers(0, 60, (2, n)), strict=True)]
    arms = pa.ListArray.from_arrays(offsets, pa.array(np.char.add("arm", rng.integers(0, 100, n * K).astype(str))))
    pmf = pa.ListArray.from_arrays(offsets, pa.array(np.full(n * K, 1 / K)))
    constants = ["arm1", 1 / K, "uniform", "champion", 1, "", "[]", "c", "e", 0, "", 1.0, *ADDED.values()]
    same: list[Any] = [[value] * n for value in constants]
    return [ids, at, [f"{i:032x}" for i in rng.integers(0, 10**6, n)], context, arms, pmf, *same]


def log_path(root: Path, kind: str, hour: int, part: int) -> Path:
    return root / f"log/{kind}/hour={hour_name(T0 + hour * HOUR)}/h-{part:03d}.parquet"


def write(path: Path, columns: list[Any], schema: pa.Schema) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns, schema=schema), path, compression="zstd")


def decisions(n: int) -> list[Decision]:
    context = {f"c{i}": i * 1.37 for i in range(20)}
    arms = tuple(f"arm{i}" for i in range(20))
    return [
        Decision(
            event_id=uuid7(),
            at=time.time_ns() // 1000,
            unit_id="a" * 32,
            context=context,
            arms=arms,
            pmf=(0.05,) * 20,
            arm="arm1",
            propensity=0.05,
            policy="p",
            role="champion",
            release=1,
        )
        for _ in range(n)
    ]


def append_rows(folder: Path, rounds: int = 5, batch: int = 64, batches: int = 60) -> list[dict[str, Any]]:
    spool, ours, other = Spool(folder / "log.db"), [], []
    bare = sqlite3.connect(folder / "bare.db", isolation_level=None)
    bare.executescript(
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE log (id INTEGER PRIMARY KEY, body)"
    )
    for _ in range(rounds):
        work = [decisions(batch) for _ in range(batches)]
        bodies = [[(orjson.dumps(d),) for d in some] for some in work]
        ours.append(batch * batches / sum(seconds(partial(spool.append_decisions, some)) for some in work))
        other.append(batch * batches / sum(seconds(partial(bare_append, bare, some)) for some in bodies))
    spool.close()
    bare.close()
    return [
        row(
            "spool append",
            f"batches of {batch}, 20 features, K = 20, FULL; beside bare SQLite, ready bytes, no index",
            ours,
            other,
            unit="decisions/s",
            target="≥ 10,000 /s",
            met=median(ours) >= 10_000,
        )
    ]


def bare_append(db: sqlite3.Connection, bodies: list[tuple[bytes]]) -> None:
    db.execute("BEGIN IMMEDIATE")
    db.executemany("INSERT INTO log (body) VALUES (?)", bodies)
    db.execute("COMMIT")


def latency_row(folder: Path, rounds: int = 5, rate: int = 500, seconds_each: float = 2.0) -> dict[str, Any]:
    """p99 of one-decision calls at a steady rate, beside a bare write and fdatasync of the same bytes."""
    spool, ours, other = Spool(folder / "latency.db"), [], []
    with (folder / "bare.log").open("ab", buffering=0) as file:
        for _ in range(rounds):
            work = decisions(int(rate * seconds_each))
            ours.append(p99(work, rate, lambda d: spool.append_decisions([d])))
            other.append(p99(work, rate, lambda d: (file.write(orjson.dumps(d)), os.fdatasync(file.fileno()))))
    spool.close()
    return row(
        "spool append p99",
        f"{rate} decisions/s, one a call, FULL; beside write + fdatasync",
        ours,
        other,
        unit="ms",
        target="≤ 5 ms",
        met=median(ours) <= 5,
    )


def p99(work: list[Decision], rate: int, append: Callable[[Decision], object]) -> float:
    took, due = [], time.perf_counter()
    for d in work:
        time.sleep(max(0.0, due - time.perf_counter()))
        took.append(seconds(partial(append, d)) * 1000)
        due += 1 / rate
    return float(np.percentile(took, 99))


if __name__ == "__main__":
    print(resource.getpagesize(), *rows(), sep="\n")
