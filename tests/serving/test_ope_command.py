"""`croupier ope` on a table, on DSJSON and with arms named: numbers equal to plain sums over the file."""

import json

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from serving.cli import app


@pytest.fixture
def log(tmp_path):
    rng, n = np.random.default_rng(0), 600
    arm = rng.choice(["a", "b", "c"], n, p=[0.5, 0.3, 0.2])
    frame = pl.DataFrame({
        "item": arm, "click": (rng.random(n) < 0.3).astype(int), "p": np.select([arm == "a", arm == "b"], [0.5, 0.3], 0.2),
        "country": rng.choice(["AT", "BR"], n),
    })  # fmt: skip
    frame.write_csv(tmp_path / "log.csv")
    return tmp_path / "log.csv", frame


def run(*arguments):
    return CliRunner().invoke(app, ["ope", *map(str, arguments)])


def test_one_arm_on_a_csv(log, tmp_path):
    path, frame = log
    done = run(path, "--policy", "arm:b", "--arm", "item", "--reward", "click", "--propensity", "p", "--json", tmp_path / "o")
    assert done.exit_code == 0, done.output
    shown = frame.filter(pl.col("item") == "b")
    found = json.loads((tmp_path / "o").read_text())
    assert found["estimates"]["ips"]["value"] == pytest.approx(shown["click"].sum() / 0.3 / 600)
    assert found["estimates"]["snips"]["value"] == pytest.approx(shown["click"].mean())
    assert found["ess"] == pytest.approx(len(shown))


def test_uniform_on_dsjson(log, tmp_path):
    _, frame = log
    lines = [
        {"_label_cost": -row["click"], "_label_probability": row["p"], "_label_Action": "abc".index(row["item"]) + 1,
         "_labelIndex": "abc".index(row["item"]), "EventId": f"e{i}", "Timestamp": "2026-01-01T00:00:00Z",
         "a": [1, 2, 3], "p": [0.5, 0.3, 0.2],
         "c": {"User": {"country": row["country"]}, "_multi": [{"_tag": x, "Arm": {"id": x}} for x in "abc"]}}
        for i, row in enumerate(frame.iter_rows(named=True))
    ]  # fmt: skip
    (tmp_path / "log.json").write_text("\n".join(map(json.dumps, lines)))
    done = run(tmp_path / "log.json", "--policy", "uniform", "--json", tmp_path / "o")
    assert done.exit_code == 0, done.output
    found = json.loads((tmp_path / "o").read_text())
    expected = (frame["click"] / frame["p"] / 3).mean()
    assert (found["rows"], found["estimates"]["ips"]["value"]) == (600, pytest.approx(expected))


def test_an_unknown_arm_names_those_there_are(log):
    done = run(log[0], "--policy", "arm:z", "--arm", "item", "--reward", "click", "--propensity", "p")
    assert done.exit_code == 1
