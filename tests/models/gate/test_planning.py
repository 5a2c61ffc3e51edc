"""The rows that a log's plan names are those at which it is promoted with probability .8, once grown to them."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
from scipy.special import ndtri
from typer.testing import CliRunner

from croupier.features.spec import GateSpec
from croupier.features.store import layout
from croupier.models.gate.bounds.betting import BURN_IN
from croupier.models.gate.bounds.lift_bounds import BET
from croupier.models.gate.gate import UNDECIDED, judge
from croupier.models.gate.planning import (
    ALWAYS,
    ONCE,
    POWER,
    Known,
    _either,
    _sums_that_take,
    plan,
    power,
    rows_for,
    smallest,
)
from croupier.models.simulation.adversarial import Trap
from croupier.models.simulation.power.modes import Log
from croupier.models.simulation.power.tables import DrawnTable, Tables
from croupier.serving.cli import app

WHOLE = [pytest.mark.full, pytest.mark.timeout(1800)]
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
    for unknown in (replace(KNOWN, sd=np.inf), replace(KNOWN, sd=np.inf, bet_sd=0.4, stakes=(0.02, 0.05))):
        told = [(one["rows"], one["days"], one["smallest_lift"]) for one in plan(unknown, gap=0.1, rows=7.0)]
        assert told == [(np.inf,) * 3] * 2, "a handful of rows, whose spread is infinite, foretell nothing"


def test_days_count_the_share_of_decisions_that_judges():
    (always, planned) = plan(KNOWN, gap=0.006, rows=20_000)
    assert always["days"] == pytest.approx(always["rows"] / 4000)
    assert planned["within_days"] == pytest.approx(5.0)
    assert planned["smallest_share"] == pytest.approx(planned["smallest_lift"] / 0.03)
    assert (always["looks"], planned["looks"]) == (None, 5)


def world(lift, rate=0.1, explored=0.4, arms=5):
    """Arms that earn `rate`; the candidate's `lift` more. The log is of the champion, exploring with this ε."""
    champion, candidate = np.full((1, arms), 0.02 / arms), np.full((1, arms), 0.02 / arms)
    champion[0, 0] += 0.98
    candidate[0, 1] += 0.98
    events = np.full((1, arms), rate)
    events[0, 1] += lift / 0.98
    log = (1.0 - explored) * champion + explored / arms
    return Trap(name="", kinds=np.ones(1), events=events, log=log, champion=champion, candidate=candidate)


def grown(first, rows, seed):
    """A log that has the rows of `first` which bets learn from, and goes on anew."""
    log = first.tables.draw(rows, np.random.default_rng(seed))
    cell, reward = log.cell.copy(), log.reward.copy()
    cell[:BURN_IN], reward[:BURN_IN] = first.cell[:BURN_IN], first.reward[:BURN_IN]
    return Log(drawn=DrawnTable(tables=first.tables, cell=cell, reward=reward, model=first.model), rows=rows)


@pytest.mark.medium
@pytest.mark.parametrize("mode", [ALWAYS, ONCE])
@pytest.mark.parametrize(
    ("runs", "seen", "asked", "within"),
    [
        pytest.param(60, 4000, (0.03,), 0.05 + 2 * (0.16 / 60) ** 0.5, id="60 logs"),
        pytest.param(1000, 4000, (0.03,), 0.05, id="clicks of 10 %, ε .4", marks=WHOLE),
        pytest.param(1000, 4000, (0.012, 0.04, 1.0), 0.05, id="clicks of 4 %, uniform", marks=WHOLE),
        pytest.param(1000, 4000, (0.08, 0.3, 0.1), 0.05, id="30 %, ε .1", marks=WHOLE),
        pytest.param(1000, 1000, (0.1, 0.5, 1.0, 3), 0.05, id="50 %, three arms", marks=WHOLE),
        pytest.param(1000, 4000, (0.03, 0.1, 0.4, 10), 0.05, id="ten arms", marks=WHOLE),
    ],
)
def test_power_at_the_planned_rows_is_what_was_said(mode, runs, seen, asked, within):
    """Each log is looked at early, at `seen` rows; its own plan is kept, and near .8 of them are promoted."""
    lift, promoted, planned, tables = asked[0], 0, [], Tables.of_trap(world(*asked), np.random.default_rng(0))
    for run in range(runs):
        first = tables.draw(seen, np.random.default_rng([1, run]))
        known = Log(drawn=first, rows=seen).known()
        needed = rows_for(mode, known, lift)
        planned.append(max(1000, round(needed / 20) * 20))
        log = grown(first, planned[-1], [2, run])
        promoted += log.planned() if mode == ONCE else log.every_row()
    print(f"{mode}: {asked}: {promoted} of {runs} promoted, at {np.median(planned):,.0f} rows in the median")
    assert promoted / runs == pytest.approx(POWER, abs=within)
    assert rows_for(mode, replace(known, alpha=0.01), lift) > needed


def test_two_bounds_see_what_either_sees():
    """Drawn: a million pairs of normal variables; alike they see what the better of them sees, apart they add up."""
    pair = np.random.default_rng(0).normal(size=(2, 10**6))
    for alike in (0.0, 0.5, 0.95):
        other = alike * pair[0] + (1.0 - alike**2) ** 0.5 * pair[1]
        drawn = np.mean((pair[0] > ndtri(0.3)) | (other > ndtri(0.4)))
        assert _either(0.7, 0.6, alike) == pytest.approx(drawn, abs=3e-3)
    assert _either(0.7, 0.6, 0.999999) == pytest.approx(0.7, abs=2e-3)
    assert _either(0.0, 0.6, 0.5) == 0.6


def test_the_boundary_of_bets_is_the_sum_with_which_they_have_won():
    """Log Σ p exp(g + λS) = log 1/α, at each number of rows by itself."""
    logs, stakes = np.log([[0.1, 0.9], [0.5, 0.5]]) - [[0.0], [3.0]], np.array([0.004, 0.06])
    found = _sums_that_take(np.log(20.0), logs, stakes)
    assert np.log(np.exp(logs + stakes * found[:, None]).sum(axis=1)) == pytest.approx(np.log(20.0), abs=1e-9)
    one = _sums_that_take(np.log(20.0), np.zeros((1, 1)), np.array([0.06]))
    assert one == pytest.approx(np.log(20.0) / 0.06)


def test_more_bets_more_rows_and_less_spread_see_more():
    known = replace(KNOWN, bet_sd=0.4, stakes=(0.02, 0.05, 0.12, 0.3))
    assert power(ALWAYS, known, 0.006, 30_000) > power(ALWAYS, KNOWN, 0.006, 30_000) + 0.05
    assert power(ALWAYS, known, 0.006, 30_000) > power(ALWAYS, known, 0.006, 15_000)
    by_skew = [power(ALWAYS, replace(known, skew=skew), 0.006, 30_000) for skew in (-4.0, 0.0, 4.0)]
    assert by_skew == sorted(by_skew), "values that are bounded closely below are what a bet sees best"
    assert by_skew[2] > by_skew[0] + 0.02
    assert power(ALWAYS, replace(known, stakes=(0.0,) * 4), 0.006, BURN_IN) == pytest.approx(
        power(ALWAYS, replace(KNOWN, alpha=(1 - BET) * 0.05), 0.006, BURN_IN)
    ), "before any row is bet on, and with nothing at stake, the sequence alone sees"


def test_the_verdict_and_the_plan_name_the_same_number(verdict):
    """By bets, and by the sequence alone where no range is declared: one estimated lift, one number of rows."""
    tables = Tables.of_trap(world(0.03), np.random.default_rng(0))
    whole = Log(drawn=tables.draw(4000, np.random.default_rng(5)), rows=4000).drawn.whole().evidence(4000)
    for evidence in (whole, replace(whole, bets=None)):
        found = judge(evidence, GateSpec())
        gap = evidence.lift.mean
        assert (found.decision, gap > 0) == (UNDECIDED, True)
        known = Known.of(evidence.lift, evidence.skew, evidence.bets, alpha=0.05, value=0.1, per_day=1000.0)
        (always, _) = plan(known, gap=gap, rows=4000.0)
        assert found.rows_needed + 4000 == np.ceil(always["rows"]) > 5000
        body = json.loads(verdict.read_text())
        body["policies"]["new"]["details"]["known"] = asdict(known)
        verdict.write_text(json.dumps(body))
        asked = ["gate", "plan", "--app", "shop", "--lift", str(gap / 0.1), "--json"]
        (said, _) = json.loads(CliRunner().invoke(app, asked).stdout)["candidates"]["new"]
        assert said["rows"] == pytest.approx(always["rows"])


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
