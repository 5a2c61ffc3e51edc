"""The rows that a plan names are those at which logs of known truth are promoted with probability .8."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
from typer.testing import CliRunner

from croupier.features.store import layout
from croupier.models.gate.planning import ALWAYS, ONCE, POWER, Known, plan, power, rows_for, smallest
from croupier.models.simulation.adversarial import Trap
from croupier.models.simulation.power.modes import Log
from croupier.models.simulation.power.tables import Tables
from croupier.serving.cli import app

KNOWN = Known(sd=0.4, skew=0.0, alpha=0.05, value=0.03, per_day=10_000, judged=0.4)


def test_rows_and_lifts_are_each_others_inverse():
    for mode in (ALWAYS, ONCE):
        rows = rows_for(mode, KNOWN, 0.006)
        assert power(mode, KNOWN, 0.006, rows) == pytest.approx(POWER, abs=2e-3)
        assert smallest(mode, KNOWN, rows) == pytest.approx(0.006, rel=5e-3)
    assert rows_for(ONCE, KNOWN, 0.006) < 0.55 * rows_for(ALWAYS, KNOWN, 0.006)
    assert rows_for(ALWAYS, KNOWN, 1e-12) == np.inf
    still = replace(KNOWN, sd=0.0)
    assert rows_for(ALWAYS, still, 0.1) == smallest(ONCE, still, 1000) == np.inf, "no click yet foretells nothing"


def test_days_count_the_share_of_decisions_that_judges():
    (always, planned) = plan(KNOWN, gap=0.006, rows=20_000)
    assert always["days"] == pytest.approx(always["rows"] / 4000)
    assert planned["within_days"] == pytest.approx(5.0)
    assert planned["smallest_share"] == pytest.approx(planned["smallest_lift"] / 0.03)
    assert (always["looks"], planned["looks"]) == (None, 5)


def world(lift):
    """Clicks of 10 %; the candidate's arm earns `lift` more. The log is of the champion, exploring with ε .4."""
    champion, candidate = np.full((1, 5), 0.004), np.full((1, 5), 0.004)
    champion[0, 0], candidate[0, 1] = 0.984, 0.984
    events = np.full((1, 5), 0.1)
    events[0, 1] += lift / 0.98
    log = 0.6 * champion + 0.08
    return Trap(name="", kinds=np.ones(1), events=events, log=log, champion=champion, candidate=candidate)


@pytest.mark.medium
@pytest.mark.parametrize("mode", [ALWAYS, ONCE])
@pytest.mark.parametrize(
    "runs",
    [
        pytest.param(60, id="60 logs"),
        pytest.param(1000, id="1,000 logs", marks=[pytest.mark.full, pytest.mark.timeout(1800)]),
    ],
)
def test_power_at_the_planned_rows_is_what_was_said(mode, runs):
    """Within 5 points of .8 (and three standard errors of so many logs)."""
    tables = Tables.of_trap(world(0.03), np.random.default_rng(0))
    log = Log(drawn=tables.draw(40_000, np.random.default_rng(1)), rows=40_000)
    known = log.known()
    rows = round(rows_for(mode, known, 0.03) / 20) * 20
    assert 2000 < rows < 40_000
    seen = 0
    for run in range(runs):
        one = Log(drawn=tables.draw(rows, np.random.default_rng([2, run])), rows=rows)
        seen += one.planned() if mode == ONCE else one.every_row()
    assert seen / runs == pytest.approx(POWER, abs=0.05 + 3 * (0.16 / runs) ** 0.5)
    assert rows_for(mode, replace(known, alpha=0.01), 0.03) > rows


@pytest.fixture
def verdict(tmp_path, monkeypatch):
    """An app whose newest verdict knows one candidate, and a champion."""
    monkeypatch.setenv("CROUPIER_VAR", str(tmp_path))
    home = tmp_path / "shop"
    path = home / layout.report(layout.gate_report("k", layout.VERDICT_FILE))
    path.parent.mkdir(parents=True)
    (home / layout.APP_TOML).write_text("")
    known = asdict(replace(KNOWN, stakes=(0.1, 0.5, 1.0, 2.0), bet_sd=0.4))
    policies = {"old": {"role": "champion", "details": {}}, "new": {"role": "candidate", "details": {"known": known}}}
    path.write_text(json.dumps({"policies": policies}))
    return path


def test_the_command_plans_from_the_newest_verdict(verdict):
    found = CliRunner().invoke(app, ["gate", "plan", "--app", "shop", "--lift", "0.2", "--days", "5", "--json"])
    assert found.exit_code == 0, found.output
    always, planned = json.loads(found.stdout)["candidates"]["new"]
    assert planned["rows"] == pytest.approx(rows_for(ONCE, KNOWN, 0.2 * 0.03), rel=2e-3)
    assert planned["days"] == pytest.approx(planned["rows"] / 4000)
    assert planned["smallest_lift"] == pytest.approx(smallest(ONCE, KNOWN, 5 * 4000), rel=2e-3)
    assert always["rows"] > planned["rows"]
    table = CliRunner().invoke(app, ["gate", "plan", "--app", "shop"]).output
    assert "planned, 5 looks" in table


def test_a_verdict_that_knows_no_spread_is_named(verdict):
    verdict.write_text(json.dumps({"policies": {"new": {"role": "candidate", "details": {}}}}))
    found = CliRunner().invoke(app, ["gate", "plan", "--app", "shop"])
    assert found.exit_code == 1
    assert "found no candidate whose spread is known" in found.stderr
