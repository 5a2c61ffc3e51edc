"""Heavy units with tastes of their own promote no null candidate, by the divisor and by the condition each."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from croupier.models.ope.estimators import design_effect, effective_units, jackknife_effect
from croupier.models.simulation.power.units import ActiveUnits, count
from croupier.serving.cli import app


def test_the_divisor_by_hand():
    """Two units of two rows and one of four: shares a quarter, a quarter and a half."""
    unit, values = np.array([0, 0, 1, 1, 2, 2, 2, 2]), np.array([1.0, 0, 1, 1, 0, 0, 1, 0])
    sums = np.array([0.0, 1.0, -1.0])  # about the mean of a half
    assert jackknife_effect(values, unit) == pytest.approx(((sums / [0.75, 0.75, 0.5]) ** 2).sum() / 2.0)
    assert design_effect(values - 0.5, unit) == pytest.approx(1.0)
    assert effective_units(unit) == pytest.approx(64 / 24)
    assert jackknife_effect(values, np.zeros(8, np.int64)) == np.inf
    once = np.arange(8)
    assert jackknife_effect(values, once) == pytest.approx((8 / 7) ** 2)


@pytest.mark.medium
def test_a_small_size_of_the_table():
    few = count(ActiveUnits.named("zipf:1.8"), runs=25)
    assert few["promoted_without_condition"] <= 0.12, "GATE.md: 3 % of 200; 14.5 % without the divisor"
    assert few["promoted"] == 0.0
    assert 200 < few["units"] < 500
    assert 2.0 < few["effective_units"] < 5.0
    assert count(ActiveUnits(exponent=1.2), runs=10)["promoted"] == 0.0


@pytest.mark.medium
def test_rows_that_are_all_of_other_units_lose_no_power():
    lifted = count(ActiveUnits(exponent=0.0, rows=4000, lift=0.15, apart=True), runs=20)
    assert lifted["promoted"] >= 0.9
    told, untold = (
        count(ActiveUnits(exponent=0.0, rows=4000, lift=0.08, apart=True, known=known), runs=20)["promoted"]
        for known in (True, False)
    )
    assert untold - 0.1 <= told <= untold, "GATE.md: at most two points of 200 logs"


def test_a_crowd_that_is_none_is_named():
    for text in ("zipf", "zipf:-1", "pareto:1", "zipf:1e3"):
        with pytest.raises(ValueError, match=f"units: found '{text}', expected zipf:EXPONENT"):
            ActiveUnits.named(text)
    found = CliRunner().invoke(
        app, ["simulate", "gate", "--units", "zipf:1.0", "--runs", "1", "--rows", "2000", "--json", "-"]
    )
    assert found.exit_code == 0, found.output
    assert json.loads(found.stdout)["rows"] == 2000
