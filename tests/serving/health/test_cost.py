"""An hour of a million decisions is read from the store and judged, with five weeks behind it, in ten seconds of one core
and a gigabyte, at most; its page has at most 500 kB."""

import subprocess
import sys
from collections import Counter
from dataclasses import dataclass

import polars as pl
import pytest

from croupier.features.utc import HOUR
from croupier.features.worlds.hours import WorldHour
from croupier.features.worlds.reels_hours import ReelsHours
from tests import reels_store

PART = 20_000  # decisions
AT = 9  # o'clock of a Thursday, when a ReelsHours app has 1.14 of its mean hour
RUN = r"""
import re, sys, time
from pathlib import Path
from croupier.features.health import kept
from croupier.features.utc import HOUR, from_us, hour_name
from croupier.features.workspace import Workspace
from croupier.models.health.diagnosis import diagnose
from croupier.models.health.history import History
from croupier.serving.health.examine import Examined
from croupier.serving.health.verdict_page import render_page

w, at, before = Workspace.open("shop"), int(sys.argv[1]), time.process_time()
span = {"start": from_us(at), "end": from_us(at + HOUR)}
kept.keep(w.store, w.spec, **span)
(found,) = kept.read(w.store, **span)
history = History.of([found | {"hour": hour_name(at + t * HOUR)} for t in range(5 * 168)])
said = diagnose(history)
page = render_page(Examined("shop", history, said))
seconds = time.process_time() - before
# not getrusage: its maximum is inherited from the process that started this one
peak = int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1])
hosts = sum(host["n"] for name, host in found["hosts"].items() if name)
print(found["n"], hosts, said.signals, seconds, peak / 1e6, len(page.encode()))
"""


@dataclass(frozen=True)
class Busy(ReelsHours):
    """An app whose hour holds those of `many` apps."""

    many: int = 1

    def hour(self, t, trouble=None):
        made = [ReelsHours(per_day=self.per_day, seed=self.seed + k).hour(t, trouble) for k in range(self.many)]
        total = sum(map(Counter, (one.account for one in made)), Counter())
        return WorldHour(
            interactions=pl.concat([one.interactions for one in made]),
            logged=pl.concat([one.logged for one in made]),
            account=dict(total),
        )


@pytest.mark.parametrize(
    "n", [pytest.param(20_000, marks=pytest.mark.medium), pytest.param(1_000_000, marks=pytest.mark.full)]
)
def test_an_hour_is_cheap(n, tmp_path, monkeypatch):
    monkeypatch.setenv("CROUPIER_VAR", str(tmp_path / "var"))
    app = Busy(per_day=round(24 * PART / 1.1), many=n // PART)
    reels_store.joined(reels_store.declare(app), app, [AT])
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(app.start + AT * HOUR)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    rows, known, signals, seconds, gigabytes, size = map(float, done.stdout.split())
    assert n <= rows == known, "each decision is there, and so is the host that logged it"
    assert signals > 20
    assert seconds <= 10.0, f"{seconds:.1f} s of processor"
    assert gigabytes <= 1.0
    assert size <= 500_000
    print(f"{rows:,.0f} decisions: {seconds:.1f} s of one core, {gigabytes:.2f} GB, {size / 1e3:.0f} kB")
