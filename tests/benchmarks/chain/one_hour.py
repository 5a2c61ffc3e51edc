"""Time and peak memory of the join of one hour of many decisions, at once and by shards, each in a process of its own.

    python -m tests.benchmarks.chain.one_hour FOLDER DECISIONS MOST [MOST ...]     MOST: decisions of a shard, 0 for all

The log stays in FOLDER. Printed are seconds, CPU seconds, and the peaks of memory that no file backs and of all resident
pages. At the end the hour is joined as at first over what the last join wrote: no version may be added.
"""

import shutil
import subprocess
import sys
import threading
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np

from croupier.features.arrow import DECISIONS, REWARDS
from croupier.features.interactions.join import join_interval
from croupier.features.interactions.versions import newest
from croupier.features.spec import RewardSpec
from croupier.features.store import layout
from croupier.features.store.storage import FolderStore
from croupier.features.utc import HOUR
from tests.benchmarks.bench_features_log import START, T0, decision_columns, log_path, write
from tests.benchmarks.chain.bench_chain import of_status, watched

OBJECT = 100_000  # rows of an object of the log
SPAN = {"start": START, "end": START + timedelta(hours=1)}


def write_hour(root: Path, n: int) -> None:
    """n decisions in order of time, and rewards for a fifth of them, some of which are repeats, or late."""
    rng = np.random.default_rng(0)
    for first in range(0, n, OBJECT):
        size = min(OBJECT, n - first)
        at = T0 + np.arange(first, first + size) * HOUR // n
        ids = [f"{int(t) // 1000:012x}" for t in at]
        ids = [
            f"{t[:8]}-{t[8:]}-7{i:03x}-8{a:03x}-{b:012x}" for t, i, a, b in zip(ids, *random(rng, size), strict=True)
        ]
        write(log_path(root, "decisions", 0, first // OBJECT), decision_columns(ids, at, rng), DECISIONS)
        chosen = rng.choice(size, size // 5)
        came = at[chosen] + rng.integers(0, 3 * HOUR // 2, len(chosen))
        for hour in np.unique((came - T0) // HOUR):
            some = np.flatnonzero((came - T0) // HOUR == hour)
            columns = [[ids[i] for i in chosen[some]], came[some], ["click"] * len(some), np.ones(len(some)),
                       [str(i) for i in rng.integers(0, 3, len(some))]]  # fmt: skip
            write(log_path(root, "rewards", int(hour), first // OBJECT), columns, REWARDS)


def random(rng: np.random.Generator, n: int) -> Any:
    return [rng.integers(0, 2**bits, n).tolist() for bits in (12, 12, 48)]


def join(folder: Path, most: int) -> None:
    store, now = FolderStore(str(folder)), START + timedelta(days=9)
    account = join_interval(store, RewardSpec(), now=now, most=most, **SPAN)
    versions = {hour: version.version for hour, version in newest(store, **SPAN).items()}
    if not account.balanced or set(versions.values()) != {1}:
        raise RuntimeError(f"the join under test is wrong: {versions}, {account}")


def measure(folder: str, most: str) -> None:
    """Joins in this process, and prints what it took."""
    ended, seen = threading.Event(), [0.0]
    watch = threading.Thread(target=watched, args=(ended, seen))
    watch.start()
    began = time.perf_counter()
    join(Path(folder), int(most))
    seconds, cpu = time.perf_counter() - began, time.process_time()
    ended.set()
    watch.join()
    peaks = f"{seen[0]:,.0f} / {of_status('VmHWM'):,.0f} MB"
    print(f"shards of {most}: {seconds:.0f} s, {cpu:.0f} CPU s, {peaks}", flush=True)


def main(folder: Path, n: int, *sizes: int) -> None:
    if not (folder / "log").exists():
        write_hour(folder, n)
    for most in sizes:
        shutil.rmtree(folder / layout.INTERACTIONS, ignore_errors=True)
        code = f"from tests.benchmarks.chain.one_hour import measure; measure({str(folder)!r}, '{most}')"
        subprocess.run([sys.executable, "-c", code], check=True)
    join(folder, sizes[0])
    print("joined again as at first: no version more")


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:]))
