"""Logs in and out by command: an app from a log of your own, and the same log back."""

import orjson
import polars as pl
import pytest
from typer.testing import CliRunner

from croupier.features.encoding import catalogue
from croupier.features.exchange.importing import import_log
from croupier.features.exchange.sources import open_source
from croupier.features.spec import AppSpec, SpecError
from croupier.features.worlds.reels import START
from tests.features.exchange.test_tabular import TABLE


def test_init_then_import_by_command(tmp_path, monkeypatch, ours):
    from croupier.serving.commands import app

    monkeypatch.setenv("CROUPIER_VAR", str(tmp_path / "var"))
    log = tmp_path / "mine.csv"
    base = TABLE.select("user_id", "item_id", "click", "propensity_score", "city")
    n = 40
    wide = pl.concat([base] * n).with_columns(email=pl.Series([f"u{i}@example.org" for i in range(3 * n)]))
    wide.write_csv(log)
    run = CliRunner().invoke
    made = run(app.init, [str(log), "--app", "shop"])
    assert made.exit_code == 0, made.output
    assert "looks like an identifier" in made.output or "look like an identifier" in made.output
    assert [a.arm_id for a in catalogue.read(tmp_path / "var/shop/catalogue.json")] == ["1", "3"]
    again = run(app.init, [str(log), "--app", "shop"])
    assert isinstance(again.exception, ValueError)
    for expected in (
        "120 new decisions, 80 new rewards, 0 rows repeat what the log holds, 0 rows skipped",
        "0 new decisions, 0 new rewards, 120 rows repeat what the log holds, 0 rows skipped",
    ):
        out = run(app.import_, [str(log), "--app", "shop"])
        assert out.exit_code == 0, out.output
        assert expected in out.output
    stored = b"".join(p.read_bytes() for p in (tmp_path / "var").rglob("*") if p.is_file())
    assert b"Wien" in stored
    assert b"example.org" not in stored  # neither the unit nor the column that looked like an identifier


@pytest.mark.parametrize("command", ["init", "import_"])
def test_a_column_without_a_role_is_named_not_passed_over(tmp_path, monkeypatch, exported, command):
    from croupier.serving.commands import app

    monkeypatch.setenv("CROUPIER_VAR", str(tmp_path / "var"))
    out = CliRunner().invoke(getattr(app, command), [str(exported), "--app", "shop", "--column", "arm:item"])
    assert isinstance(out.exception, ValueError)
    assert str(out.exception).startswith("--column: found 'arm:item', expected ROLE=COLUMN")
    assert not (tmp_path / "var" / "shop" / "app.toml").exists()


def test_import_needs_an_app(tmp_path, monkeypatch, exported):
    from croupier.serving.commands import app

    monkeypatch.setenv("CROUPIER_VAR", str(tmp_path / "var"))
    out = CliRunner().invoke(app.import_, [str(exported), "--app", "nothing"])
    assert isinstance(out.exception, SpecError)


@pytest.mark.parametrize("command", ["account", "restatements", "forget", "export"])
def test_a_misspelt_app_is_said_and_not_made(tmp_path, monkeypatch, command):
    monkeypatch.setenv("CROUPIER_VAR", str(tmp_path))
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "app.toml").write_text("")
    more = {"forget": ["someone"], "export": [str(tmp_path / "out.json")]}.get(command, [])
    from croupier.serving.cli import app as cli

    done = CliRunner().invoke(cli, [command, *more, "--app", "shpo"])
    assert done.exit_code == 1
    assert "expected one of shop" in done.output
    assert [p.name for p in tmp_path.iterdir()] == ["shop"]


def test_only_declared_features_enter(exported):
    class Kept:
        def __init__(self):
            self.decisions, self.rewards = [], []

        def append_decisions(self, decisions):
            self.decisions += decisions

        def find(self, event_ids):
            return {d.event_id: d for d in self.decisions if d.event_id in event_ids}

        def append_rewards(self, rewards):
            self.rewards += rewards
            return [True] * len(rewards)

    kept = Kept()
    spec = AppSpec.model_validate({"context": {"age": {"type": "numeric"}}, "reward": {"kinds": {"reward": {}}}})
    done = import_log(kept, open_source(exported, unit_key="k"), spec)
    assert (done.decisions, done.start, done.end) == (600, START, START + 599_000_000)
    assert {tuple(d.context) for d in kept.decisions} == {("age",)}
    assert {d.arm_context for d in kept.decisions} == {()}


@pytest.mark.medium
def test_in_by_command_and_out_again(tmp_path, monkeypatch, exported, ours):
    """DSJSON → init → import → ship → join → export: the same decisions, probabilities and costs."""
    from croupier.features import build
    from croupier.serving.commands import app

    monkeypatch.setenv("CROUPIER_VAR", str(tmp_path / "var"))
    target = tmp_path / "again.dsjson"
    for command, *arguments in ((app.init, exported), (app.import_, exported), (app.export, target), (app.report,)):
        if command is app.export:
            build.collect("loop")
            build.join("loop", "2026-09-21T14:00:00+00:00", "2026-09-21T15:00:00+00:00")
        out = CliRunner().invoke(command, [*map(str, arguments), "--app", "loop"])
        assert out.exit_code == 0, out.output
    first, second = ([orjson.loads(x) for x in p.read_bytes().splitlines()] for p in (exported, target))
    assert second == first
    assert "health: file://" in out.output
    full = CliRunner().invoke(app.export, ["/dev/full", "--app", "loop"])
    assert str(full.exception) == "/dev/full: No space left on device; what is in it is not the whole"
