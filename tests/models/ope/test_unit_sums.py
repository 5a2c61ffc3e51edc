"""Sums by unit over chunks give the design effect of the whole log, and a stream's intervals hold for units."""

import json

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from croupier.models.ope import estimators
from croupier.models.ope.estimators import Rounds
from croupier.models.ope.streaming import Totals
from croupier.models.ope.unit_sums import UnitSums
from croupier.serving.cli import app

N = 3000


def rounds(seed):
    rng = np.random.default_rng(seed)
    unit = np.minimum(rng.zipf(1.5, N), 300)
    taste = rng.normal(size=301)[unit]
    return Rounds(
        reward=taste + rng.normal(size=N),
        propensity=rng.uniform(0.2, 1.0, N),
        target=rng.uniform(size=N),
        predicted=rng.normal(size=N),
        direct=rng.normal(size=N),
        thinning=np.ones(N),
    ), unit


def test_chunks_add_to_the_jackknife_of_the_whole():
    whole, unit = rounds(0)
    sums = UnitSums()
    for start in range(0, N, 700):
        rows = slice(start, start + 700)
        sums.add(whole[rows], unit[rows])
    found = Totals.of(whole).estimates(sums)
    for name in ("dm", "ips", "snips", "dr"):
        values = estimators.ESTIMATORS[name](whole)
        effect = estimators.jackknife_effect(values, np.unique(unit, return_inverse=True)[1])
        plain = Totals.of(whole).estimates()[name]
        assert found[name].m2 == pytest.approx(effect * plain.m2, rel=1e-9)
        assert found[name].mean == plain.mean
    assert sums.effective() == pytest.approx(estimators.effective_units(unit))


def test_the_command_takes_a_column_of_units(tmp_path):
    whole, unit = rounds(1)
    table = {"reward": whole.reward, "propensity": whole.propensity, "pi": whole.target, "who": unit}
    pl.DataFrame(table).write_parquet(tmp_path / "log.parquet")
    told = {}
    for name, more in (("plain", []), ("units", ["--unit", "who"])):
        asked = ["ope", str(tmp_path / "log.parquet"), "--target-pmf", "pi", *more, "--json", "-"]
        found = CliRunner().invoke(app, asked)
        assert found.exit_code == 0, found.output
        told[name] = json.loads(found.stdout)
    effect = estimators.jackknife_effect(estimators.ips(whole), np.unique(unit, return_inverse=True)[1])
    errors = [told[name]["estimates"]["ips"]["standard_error"] for name in ("plain", "units")]
    assert errors[1] == pytest.approx(errors[0] * np.sqrt(effect), rel=1e-6)
    assert effect > 1.5
    assert told["units"]["effective_units"] == pytest.approx(estimators.effective_units(unit))
    assert "units" in [u["name"] for u in told["plain"]["unchecked"]]
    assert "units" not in [u["name"] for u in told["units"]["unchecked"]]
