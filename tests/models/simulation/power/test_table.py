"""The table's means, worst cells and limits, by hand; and that the command puts it into a page."""

import json

import pytest
from scipy.stats import binom
from typer.testing import CliRunner

from croupier.models.simulation.power.table import limits, markdown, mean_power, worst_null
from croupier.serving.cli import app

pytestmark = pytest.mark.medium  # a second each, or many of them: not in `make check`


def row(cell, lift, hits, runs=100, ess=900.0):
    return {"cell": cell, "lift": lift, "runs": runs, "ess": ess, "promoted": {"α .05": {"planned": hits}}}


TABLE = [
    row("a, uniform", 0.14, 60),
    row("b, uniform", 0.14, 80, runs=200),
    row("c, uniform", 0.14, 0, ess=150.0),
    row("a, uniform", 0.0, 3),
    row("b, uniform", 0.0, 4, runs=200),
    row("trap: t", 0.0, 1, ess=None),
]


def test_means_are_of_the_cells_that_the_gate_judges_and_worst_of_the_nulls():
    assert mean_power(TABLE, "planned", 0.14) == pytest.approx(0.5)
    assert worst_null(TABLE, "planned", "α .05", traps=False)[1] == 3
    assert worst_null(TABLE, "planned", "α .05", traps=True)[0]["cell"] == "trap: t"
    text = markdown(TABLE)
    assert "| planned | 50.0 | nan | 3.0 (0.8–7.6), a, uniform | – | 1.0 (0.1–4.7), t |" in text
    assert "2 cells; logs a cell: power 100 to 200, nulls 100 to 200, traps 100." in text


def test_limits_are_exact():
    low, high = limits(3, 100)
    assert binom.sf(2, 100, low) == pytest.approx(0.05)
    assert binom.cdf(3, 100, high) == pytest.approx(0.05)
    assert limits(0, 60) == (0.0, pytest.approx(1 - 0.05 ** (1 / 60)))


def test_the_command_goes_on_from_what_was_counted_and_fills_the_page(tmp_path):
    out, page = tmp_path / "power.json", tmp_path / "GATE.md"
    page.write_text("<!-- power -->\n<!-- /power -->\n")
    done = [
        row(f"digits, {logged}", lift, 1, runs=10 if lift == 0.0 else 1) | {"seed": 0}
        for logged in ("uniform", "champion, ε .1", "champion, ε .02")
        for lift in (0.0, 0.14, 0.27)
    ]
    out.write_text(json.dumps([*done, row("trap: t", 0.0, 0, ess=None) | {"seed": 0}]))
    found = CliRunner().invoke(app, ["simulate", "gate", "--power", str(out), "--runs", "10", "--page", str(page)])
    assert found.exit_code == 0, found.output
    assert len(json.loads(out.read_text())) == 10, "nothing was counted again"
    assert "| planned | 100.0 | 100.0 | 10.0" in page.read_text()
