"""An hour of a million decisions costs ten seconds of one core and a gigabyte, at most."""

import subprocess
import sys

import pytest

RUN = r"""
import re, sys, time, tomllib
from pathlib import Path
import polars as pl
from croupier.features.health.figures import figures
from croupier.features.spec import AppSpec
from croupier.features.worlds.reels import World

world, n = World(seed=1), int(sys.argv[1])
some = world.interactions(2000)
rows = pl.concat([some] * (n // 2000), rechunk=True).with_columns(event_id=pl.int_range(pl.len()).cast(pl.String))
logged = rows.select("event_id", host=pl.lit("a"))
spec, before = AppSpec.model_validate(tomllib.loads(world.app_toml())), time.process_time()
found = figures(rows, spec, logged=logged)
# not getrusage: its maximum is inherited from the process that started this one
peak = int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1])
print(found["n"], time.process_time() - before, peak / 1e6)
"""


@pytest.mark.parametrize(
    "n", [pytest.param(20_000, marks=pytest.mark.medium), pytest.param(1_000_000, marks=pytest.mark.full)]
)
def test_an_hour_is_cheap(n):
    done = subprocess.run([sys.executable, "-c", RUN, str(n)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows, seconds, gigabytes = map(float, done.stdout.split())
    assert rows == n
    assert seconds <= 10.0, f"{seconds:.1f} s of processor"
    assert gigabytes <= 1.0
