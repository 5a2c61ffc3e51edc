"""A policy that remembers the units of an A/B test is not paid for their luck: units that were learnt do not judge."""

import json
from datetime import UTC, datetime, timedelta

import numpy as np
import orjson
import polars as pl
import pytest
from typer.testing import CliRunner

from croupier.features.workspace import Workspace
from croupier.models.ope.kept_arms import judging
from croupier.serving.cli import app as cli
from tests import shop
from tests.models.ope.kept_arms.ab_log import ABTest

A, B = 5, 2**63 + 5  # units of either half
EVERY = """
[training]
every = "1h"
min_rows = 100
"""


def test_a_row_judges_where_no_model_has_learnt_its_unit():
    unit = np.array([A, B, 7, A, B, 7, 2**63 + 9, 2**63 + 9, B], np.uint64)
    at = np.array([0, 1, 12, 13, 14, 25, 26, 27, 28])
    first = judging.judging(unit, at, np.array([10]), held_back=True)
    assert first.tolist() == [False, False, True, False, True, True, True, True, True]
    without = judging.judging(unit, at, np.array([10]), held_back=False)
    assert without.tolist() == [False, False, True, False, False, True, True, True, False]
    again = judging.judging(unit, at, np.array([10, 20]), held_back=True)
    assert again.tolist() == [False, False, True, False, True, False, True, True, False]


def table(made: ABTest, seed: int, *, lift: float = 0.0) -> pl.DataFrame:
    """The test's log as an analyst has it; the last arm earns `lift` more."""
    log, rng = made.log(seed), np.random.default_rng(seed)
    better = (log.chosen == len(made.share) - 1) & (rng.random(len(log)) < lift)
    began = datetime.now(UTC) - timedelta(days=9)
    hours = np.sort(rng.uniform(0, 8 * 24, len(log)))
    return pl.DataFrame({
        "timestamp": [(began + timedelta(hours=float(hour))).isoformat() for hour in hours],
        "event_id": [f"e{i}" for i in range(len(log))], "user_id": [f"user {u}" for u in log.unit],
        **{f"f{j}": column for j, column in enumerate(log.batch.context.T)},
        "arm": np.array(list("abc"))[log.chosen], "propensity": log.propensity,
        "reward": np.maximum(log.reward, better),
    })  # fmt: skip


def croupier(*words):
    done = CliRunner().invoke(cli, list(words))
    assert done.exit_code == 0, (done.output, done.exception)
    return done.stdout


def judged(folder, monkeypatch, log: pl.DataFrame) -> dict:
    """The verdict on `lin_ts` of the first turn after an import."""
    home = shop.of_commands(folder, monkeypatch)
    monkeypatch.setenv("CROUPIER_QUALITY_PAGES", "false")
    log.write_parquet(folder / "ab.parquet")
    croupier("init", "ab.parquet", "--app", "shop")
    text = (home / "app.toml").read_text()
    (home / "app.toml").write_text(text.replace('["vw_cb_adf", "neural_linear"]', '["lin_ts"]') + EVERY)
    croupier("import", "ab.parquet", "--app", "shop")
    croupier("turn", "--app", "shop", "--last", "30d", "--json")
    store = Workspace.open("shop").store
    (key,) = store.list("verdicts/")
    return orjson.loads(store.get(key))["evaluation"]


def conditions(evaluation: dict) -> dict:
    return {c["name"]: c["passed"] for c in evaluation["policies"]["lin_ts"]["conditions"]}


@pytest.mark.slow
def test_luck_of_remembered_units_is_no_lift(tmp_path, monkeypatch):
    made = ABTest(units=300, rows=18_000, features=12)
    evaluation = judged(tmp_path, monkeypatch, table(made, 1))
    found = evaluation["policies"]["lin_ts"]
    assert evaluation["rows"] == pytest.approx(18_000 * 0.4 / 2, rel=0.15), "half of the units judge"
    assert found["lift"]["lower"] < 0
    assert abs(found["lift"]["value"]) < 0.03
    passed = conditions(evaluation)
    assert all(passed[name] for name in ("propensity_self_test", "features_before_decision", "estimators_agree"))
    assert "propensity_self_test:repeated_draws" in json.dumps(evaluation)


@pytest.mark.slow
@pytest.mark.full
def test_an_arm_that_is_better_is_found(tmp_path, monkeypatch):
    made = ABTest(units=6000, rows=24_000, features=4, share=(0.6, 0.25, 0.15))
    evaluation = judged(tmp_path, monkeypatch, table(made, 2, lift=0.2))
    assert evaluation["promoted"] == "lin_ts", evaluation["policies"]["lin_ts"]
    assert evaluation["policies"]["lin_ts"]["lift"]["value"] == pytest.approx(0.1, abs=0.04)
