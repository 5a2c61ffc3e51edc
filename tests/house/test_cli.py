"""The `croupier` command: every group loads, is imported only when it is called, and errors are sentences."""

import json
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


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.1:70000", "127.0.0.1:0", "host:port"])
def test_an_address_without_a_port_is_named(tmp_path, monkeypatch, address):
    monkeypatch.setenv("CROUPIER_VAR", str(tmp_path))
    monkeypatch.setenv("CROUPIER_TRITON", address)
    for command in ("up", "status", "health"):
        result = RUNNER.invoke(app, ["serve", command])
        assert result.exit_code == 1
        assert f"CROUPIER_TRITON: found '{address}', expected host:port" in result.output


@pytest.mark.parametrize("record", ["[]", "5", "{}", '{"pid": 1}', "", '{"pid": 1, "born": 1, "ports": {}}', "null"])
def test_a_pid_file_that_names_no_server_of_ours_is_no_server(tmp_path, monkeypatch, record):
    monkeypatch.setenv("CROUPIER_VAR", str(tmp_path))
    (tmp_path / "default").mkdir()
    (tmp_path / "default" / "triton.pid").write_text(record)
    assert RUNNER.invoke(app, ["serve", "status"]).exit_code == 3
    done = RUNNER.invoke(app, ["serve", "down"])
    assert (done.exit_code, done.output) == (0, "it was not running\n")


def test_a_process_that_took_over_a_pid_is_left_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("CROUPIER_VAR", str(tmp_path))
    (tmp_path / "default").mkdir()
    (tmp_path / "default" / "supervisor.pid").write_text(f"{os.getpid()} 5")
    ports = {"pid": os.getpid(), "born": 5, "ports": {"grpc": 8001}, "shm": "croupier_x"}
    (tmp_path / "default" / "triton.pid").write_text(json.dumps(ports))
    assert RUNNER.invoke(app, ["serve", "down"]).output == "it was not running\n"


def test_a_command_imports_only_its_own():
    code = "import sys; from serving.cli import app; print([m for m in ('torch', 'polars', 'boto3') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
