"""`croupier simulate linear`: magic and statlog are found, mushroom and linear worlds are not; the table says so."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from croupier.models.simulation.health import linear_failure
from croupier.serving.cli import app

DATA = Path(os.environ.get("CROUPIER_DATA", Path(__file__).resolve().parents[4] / "shared" / "data"))
NEEDED = [f"{name}.npz" for name in linear_failure.FAILS]
absent = [name for name in NEEDED if not (DATA / name).exists()]


@pytest.mark.medium
@pytest.mark.skipif(bool(absent), reason=f"{', '.join(absent)} are not in {DATA}; CROUPIER_DATA says where")
def test_magic_and_statlog_are_found_within_5000_rows_and_mushroom_is_not():
    real = {name: p for name, p in linear_failure.problems(DATA).items() if "(made)" not in name}
    found = linear_failure.count(real, seeds=2, first=100, step=lambda _: None)["problems"]
    assert {name: row["claimed"]["5000"] for name, row in found.items()} == {
        "magic": 1.0, "statlog_shuttle": 1.0, "mushroom": 0.0, "mushroom, the Showdown's rewards": 0.0,
    }  # fmt: skip
    assert found["magic"]["gain"] == pytest.approx(0.055, abs=0.03)
    assert found["statlog_shuttle"]["lower"] > 0.5


def test_a_log_of_a_linear_policy_has_its_exact_propensities():
    problem = linear_failure.logistic(np.random.default_rng(1), linear_failure._straight)
    log = linear_failure.played(problem, 1200, 1)
    assert (log.propensity[:500] == 0.25).all()
    assert set(np.round(log.propensity[500:], 6)) == {0.025, 0.925}
    np.testing.assert_allclose(log.pmf.sum(axis=1), 1.0)
    assert problem.means[np.arange(500, 1200), log.chosen[500:]].mean() > problem.means[500:1200].mean() + 0.1


@pytest.mark.medium
def test_the_command_writes_its_table_and_keys(tmp_path, monkeypatch):
    monkeypatch.setattr(linear_failure, "LOOKS", (600, 1200))
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- linear -->\nold\n<!-- /linear -->\nb\n")
    words = ["simulate", "linear", "--seeds", "1", "--json", str(tmp_path / "x.json"), "--page", str(page)]
    done = CliRunner().invoke(app, words, env={"CROUPIER_DATA": ""})
    assert done.exit_code == 0, done.output
    found = json.loads((tmp_path / "x.json").read_text())
    assert set(found["problems"]) == {"linear (made)", "rare (made)", "bent (made)", "crossed (made)"}
    assert found["problems"]["linear (made)"]["claimed"] == {"600": 0.0, "1200": 0.0}
    text = page.read_text()
    assert "old" not in text
    assert "| linear (made) | is right | 0% | 0% |" in text
    assert {line.count("|") for line in text.splitlines() if line.startswith("|")} == {9}
    for row in found["problems"].values():
        assert set(row["flat"]) == {"600", "1200"}
        assert 0 <= row["flat_first"] <= row["flat"]["1200"]


def test_a_folder_without_any_of_them_is_refused(tmp_path):
    done = CliRunner().invoke(app, ["simulate", "linear", "--data", str(tmp_path)])
    assert done.exit_code == 1
    assert "found none of magic.npz, statlog_shuttle.npz, mushroom.npz" in done.stderr
