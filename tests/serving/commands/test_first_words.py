"""What a newcomer types first: a version, a typing error, a question about an app that has no server."""

import importlib.metadata

import pytest
from typer.testing import CliRunner

from croupier.serving.cli import app as cli


@pytest.fixture(autouse=True)
def _var(tmp_path, monkeypatch):
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "app.toml").write_text("")
    monkeypatch.setenv("CROUPIER_VAR", str(tmp_path))


def run(*words, **more):
    done = CliRunner().invoke(cli, list(words), **more)
    return done.exit_code, " ".join(done.output.replace("│", " ").split())


def test_the_version_is_that_of_the_package():
    assert run("--version") == (0, f"croupier {importlib.metadata.version('croupier')}")


@pytest.mark.parametrize(
    ("words", "meant"), [(["rolout"], "rollout"), (["replya"], "replay"), (["rollout", "statsu"], "status")]
)
def test_a_misspelt_command_is_answered_with_the_nearest(words, meant):
    code, said = run(*words)
    assert code == 2
    assert f"Did you mean '{meant}'" in said


def test_a_misspelt_app_is_answered_with_the_nearest_and_the_folder(tmp_path):
    code, said = run("rollout", "status", "--app", "shpo")
    assert code == 1
    assert said.endswith("did you mean shop?")
    assert str(tmp_path) in said


def test_an_abort_asks_first():
    code, said = run("rollout", "abort", "--app", "shop", input="n\n")
    assert code == 1
    assert "End the rollout of shop for good?" in said


def test_health_says_that_the_app_has_no_server():
    code, said = run("serve", "health", "--app", "shop")
    assert code == 1
    assert said.startswith("not healthy: no server of app shop runs here")
