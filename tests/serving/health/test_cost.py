"""An hour of a million decisions is judged, with five weeks behind it, in ten seconds of one core and a gigabyte, at most;
its page has at most 500 kB."""

import subprocess
import sys

import pytest

RUN = r"""
import re, sys, time, tomllib
from pathlib import Path
import polars as pl
from croupier.features.health.figures import figures
from croupier.features.spec import AppSpec
from croupier.features.utc import HOUR, hour_name
from croupier.features.worlds.reels import START, World
from croupier.models.health.diagnosis import diagnose
from croupier.models.health.history import History
from croupier.serving.health.examine import Examined
from croupier.serving.health.verdict_page import render_page

world, n = World(seed=1), int(sys.argv[1])
some = world.interactions(2000)
rows = pl.concat([some] * (n // 2000), rechunk=True).with_columns(event_id=pl.int_range(pl.len()).cast(pl.String))
logged = rows.select("event_id", host=pl.lit("a"))
spec, before = AppSpec.model_validate(tomllib.loads(world.app_toml())), time.process_time()
found = figures(rows, spec, logged=logged)
history = History.of([found | {"hour": hour_name(START // HOUR * HOUR + t * HOUR)} for t in range(5 * 168)])
said = diagnose(history)
page = render_page(Examined("shop", history, said))
seconds = time.process_time() - before
# not getrusage: its maximum is inherited from the process that started this one
peak = int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1])
print(found["n"], said.signals, seconds, peak / 1e6, len(page.encode()))
"""


@pytest.mark.parametrize(
    "n", [pytest.param(20_000, marks=pytest.mark.medium), pytest.param(1_000_000, marks=pytest.mark.full)]
)
def test_an_hour_is_cheap(n):
    done = subprocess.run([sys.executable, "-c", RUN, str(n)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows, signals, seconds, gigabytes, size = map(float, done.stdout.split())
    assert rows == n
    assert signals > 20
    assert seconds <= 10.0, f"{seconds:.1f} s of processor"
    assert gigabytes <= 1.0
    assert size <= 500_000
    print(f"{seconds:.1f} s of one core, {gigabytes:.2f} GB, {size / 1e3:.0f} kB")
