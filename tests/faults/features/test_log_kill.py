"""Crash-safe: killed at every fail point and started again, the log ends up as if nothing had happened."""

import hashlib
import random
import signal
import tempfile
from pathlib import Path

import orjson
import pytest

from croupier.features.interactions.versions import newest
from croupier.features.log.spool import Spool
from croupier.features.store.storage import FolderStore
from tests.faults import pipeline
from tests.faults.killed import processes

MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None


def run(folder: Path, seed: int, point: str = "") -> int:
    """Exit code of a life that was killed at `point`, if it came that far."""
    process = processes.Process(target=_live, args=(folder, seed, point))
    process.start()
    process.join()
    return process.exitcode


def _live(folder: Path, seed: int, point: str) -> None:
    fuse = pipeline.Fuse(point)
    pipeline.live(folder, seed, fuse)
    (folder / "passed.json").write_bytes(orjson.dumps(fuse.passed))


def state(folder: Path) -> dict:
    """What must be equal: every hour's interactions and account, every logged object, the spool."""
    store, spool = FolderStore(str(folder / "store")), Spool(folder / "log.db")
    hours = newest(store, **pipeline.SPAN)
    left = {kind: spool.read(kind, limit=10**6) for kind in ("decisions", "rewards", "rejects")}
    counts = spool.counts()
    spool.close()
    return {
        "interactions": {hour: hashlib.sha256(store.get(v.data)).hexdigest() for hour, v in hours.items()},
        "accounts": {hour: v.account for hour, v in hours.items()},
        # not by name: a repeated append leaves a gap in the row numbers
        "log": sorted(
            key.rpartition("/")[0] + hashlib.sha256(store.get(key)).hexdigest() for key in store.list("log/")
        ),
        "spool": left,
        "counts": counts,
    }


def kinds(passed: list[str]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for point in passed:
        groups.setdefault(point.rpartition("#")[0], []).append(point)
    return groups


@pytest.mark.timeout(3600)
@pytest.mark.slow
@pytest.mark.parametrize(
    ("seed", "points"), [(0, 4), *(pytest.param(seed, 1000, marks=pytest.mark.full) for seed in range(10))]
)
def test_killed_at_every_fail_point_the_end_is_the_same(seed, points):
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        root = Path(folder)
        (root / "whole").mkdir()
        assert run(root / "whole", seed) == 0
        expected = state(root / "whole")
        groups = kinds(orjson.loads((root / "whole" / "passed.json").read_bytes()))
        assert len(groups) >= 60, sorted(groups)
        assert sum(expected["counts"].values()) == 60 + 43
        rng = random.Random(seed)
        for name in rng.sample(sorted(groups), min(points, len(groups))):
            point = rng.choice(groups[name])
            here = root / f"{name}".replace("/", "_")
            here.mkdir()
            assert run(here, seed, point) == -signal.SIGKILL, point
            assert run(here, seed) == 0, point
            assert state(here) == expected, f"killed at {point}"
