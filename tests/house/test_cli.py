"""The `croupier` command: every group loads, is imported only when it is called, and errors are sentences."""

import os
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from serving.cli import COMMANDS, app

RUNNER = CliRunner()


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name):
    result = RUNNER.invoke(app, [name, "--help"])
    assert result.exit_code == 0, result.output
    assert "Usage" in result.output


def test_help_lists_them_all():
    result = RUNNER.invoke(app, ["--help"])
    assert result.exit_code == 0
    assert all(name in result.output for name in COMMANDS)


def run(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "serving.cli", *arguments], capture_output=True, text=True, check=False,
        env=os.environ | environment,
    )  # fmt: skip


@pytest.mark.medium
def test_what_an_operator_can_mend_is_one_sentence(tmp_path):
    result = run("replay", "no-such-event", CROUPIER_VAR=str(tmp_path))
    assert result.returncode == 1
    assert result.stderr.startswith("croupier: event no-such-event: not in the log")
    assert "Traceback" not in result.stderr
    wrong = run("serve", "status", "--app", "No/Good", CROUPIER_VAR=str(tmp_path))
    assert (wrong.returncode, "Traceback" in wrong.stderr) == (1, False)
    assert run("serve", "status", CROUPIER_VAR=str(tmp_path)).returncode == 3
    assert run("nonsense").returncode == 2


def test_a_command_imports_only_its_own():
    code = "import sys; from serving.cli import app; print([m for m in ('torch', 'polars', 'boto3') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
