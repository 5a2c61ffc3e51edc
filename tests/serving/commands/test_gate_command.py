"""`croupier gate report` finds the newest verdict; `croupier simulate gate` writes the keys it promises."""

import json
import os

import pytest
from typer.testing import CliRunner

from croupier.serving.cli import app


@pytest.mark.medium
def test_simulate_writes_rates_for_every_rule(tmp_path):
    out = tmp_path / "o.json"
    done = CliRunner().invoke(app, ["simulate", "gate", "--runs", "4", "--rows", "1500", "--looks", "2", "--lift", "0.2",
                                    "--json", str(out)])  # fmt: skip
    assert done.exit_code == 0, done.output
    found = json.loads(out.read_text())
    assert (found["runs"], found["rows"], found["looks"], found["lift"]) == (4, 1500, 2, pytest.approx(0.2))
    for rates in (found, *found["rules"].values()):
        assert sum(rates[k] for k in ("promoted_rate", "rejected_rate", "not_enough_rate")) == pytest.approx(1.0)
    assert sorted(found["rules"]) == ["banditdb", "clt", "sagemaker"]


def test_the_newest_verdict_is_shown(tmp_path, monkeypatch):
    monkeypatch.setenv("CROUPIER_VAR", str(tmp_path))
    assert CliRunner().invoke(app, ["gate", "report"]).exit_code == 1
    log = {"propensities": [], "rewards": [], "from": 0, "to": 1}
    model = {"r2": 0.0, "mean_predicted": 0.1, "mean_reward": 0.1}
    body = {"champion": "uniform", "rows": 1, "floor": 0.0, "alpha": 0.05, "self_test": 1.0, "leak": 1.0, "log": log,
            "reward_model": model, "promoted": "", "policies": {}}  # fmt: skip
    for age, name in ((100, "old"), (0, "new")):
        folder = tmp_path / "default" / "reports" / "gate" / name
        folder.mkdir(parents=True)
        (folder / "verdict.json").write_text(json.dumps(body))
        os.utime(folder / "verdict.json", (1e9 - age, 1e9 - age))
    done = CliRunner().invoke(app, ["gate", "report"])
    assert done.exit_code == 0, done.output
    page = tmp_path / "default" / "reports" / "gate" / "new" / "verdict.html"
    assert "Nothing is promoted: uniform stays." in page.read_text()
