"""The `croupier` command: every group loads, is imported only when it is called, and errors are sentences."""

import importlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from croupier import serving
from croupier.dags.local import standalone
from croupier.dags.local.standalone import Airflow
from croupier.serving.cli import COMMANDS, app
from croupier.serving.triton.processes import born

RUNNER = CliRunner()


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name):
    result = RUNNER.invoke(app, [name, "--help"])
    assert result.exit_code == 0, result.output
    assert "Usage" in result.output


def _texts(command):
    """The help of a command, of its options, and of the commands within."""
    yield command.help or ""
    for parameter in command.params:
        yield getattr(parameter, "help", "") or ""
    for inner in getattr(command, "commands", {}).values():
        yield from _texts(inner)


def _pages(name, command):
    yield RUNNER.invoke(app, [*name, "--help"], env={"COLUMNS": "250", "TERMINAL_WIDTH": "250"}).output
    for inner in getattr(command, "commands", {}):
        yield from _pages([*name, inner], command.commands[inner])


@pytest.mark.parametrize("name", COMMANDS)
def test_help_is_shown_as_it_is_written(name):
    """Rich took [training] for a colour, and `pip install 'croupier[tune]'` lost its extra."""
    where, _ = COMMANDS[name]
    module, _, attribute = where.partition(":")
    command = typer.main.get_command(getattr(importlib.import_module(module), attribute))
    bracketed = {word for text in _texts(command) for word in re.findall(r"\S*\[\S*", text)}
    shown = " ".join(" ".join(_pages([name], command)).split())
    assert [word for word in bracketed if word not in shown] == []


def test_nothing_that_is_printed_is_taken_for_markup():
    """A column named `price [eur]` would lose half its name, and a folder named `[/x]` would end the command."""
    sources = sorted(Path(serving.__file__).parent.rglob("*.py"))
    made = [line.strip() for path in sources for line in path.read_text().splitlines() if " Console(" in line]
    assert len(made) > 10
    assert [line for line in made if "markup=False" not in line] == []


def test_help_lists_them_all_and_imports_none():
    told = run("--help", COLUMNS="200", PYTHONPROFILEIMPORTTIME="1")
    assert told.returncode == 0
    assert all(f" {name} " in told.stdout and says in told.stdout for name, (_, says) in COMMANDS.items())
    assert "typer.main" in told.stderr, "what is imported is told"
    assert "croupier.serving.commands" not in told.stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_help_says_of_each_what_it_says_of_itself(name):
    where, says = COMMANDS[name]
    module, _, attribute = where.partition(":")
    own = typer.main.get_command(getattr(importlib.import_module(module), attribute)).help
    assert " ".join(own.split()).startswith(says.rstrip(".")), own


def run(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "croupier.serving.cli", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | environment,
    )


@pytest.mark.medium
def test_what_an_operator_can_mend_is_one_sentence(tmp_path):
    (tmp_path / "default").mkdir()
    result = run("replay", "no-such-event", CROUPIER_VAR=str(tmp_path))
    assert result.returncode == 1
    assert result.stderr.startswith("croupier: event no-such-event: not in the log")
    assert "Traceback" not in result.stderr
    wrong = run("serve", "status", "--app", "No/Good", CROUPIER_VAR=str(tmp_path))
    assert (wrong.returncode, "--app: found 'No/Good', expected a name" in " ".join(wrong.stderr.split("│"))) == (
        2,
        True,
    )
    assert "CROUPIER_APP" not in wrong.stderr
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


@pytest.mark.parametrize("record", ["{pid} 5", "{pid}", "", "words"])
def test_nor_is_a_group_stopped_that_took_over_airflows(tmp_path, record):
    """After a reboot the pid file may name anybody."""
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as stranger:
        try:
            (tmp_path / "standalone.pid").write_text(record.format(pid=stranger.pid))
            Airflow.stop_recorded(tmp_path)
            assert (stranger.poll(), (tmp_path / "standalone.pid").exists()) == (None, False)
            (tmp_path / "standalone.pid").write_text(f"{stranger.pid} {born(stranger.pid)}")
            Airflow.stop_recorded(tmp_path)
            assert stranger.poll() is not None
        finally:
            stranger.kill()


def test_a_command_imports_only_its_own():
    code = "import sys; from croupier.serving.cli import app; print([m for m in ('torch', 'polars', 'boto3') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


HOSTILE = [
    ("simulate gate --data {empty}", "data: found no arrays in"),
    ("simulate gate --data {cut}", "data: found no arrays in"),
    ("simulate gate --data {huge}", "expected numbers below 1e+100"),
    ("simulate gate --runs 1 --rows 99999999999999", "Unable to allocate"),
    ("simulate learning --policy lin_ts --seeds 1 --rounds 9 --parameters [1]", "expected a JSON object"),
    ('simulate learning --policy lin_ts --seeds 1 --rounds 9 --parameters {"colour":1}', "parameters do not fit: "),
    ("simulate learning --policy uniform --seeds 1 --rounds 9 --wheel nan", "wheel: found δ = nan"),
    ("simulate learning --policy uniform --seeds 1 --rounds 9 --wheel 2", "wheel: found δ = 2"),
    ("gate report {list}", "found no champion, policies, rows"),
    ("gate report {empty}", "found no JSON"),
    ("ope {folder} --policy uniform", "found no app.toml in it"),
]


@pytest.mark.medium
@pytest.mark.parametrize(("line", "said"), HOSTILE)
def test_hostile_arguments_are_one_sentence(tmp_path, monkeypatch, line, said):
    monkeypatch.setenv("CROUPIER_VAR", str(tmp_path))
    files = {name: tmp_path / f"{name}.npz" for name in ("empty", "cut", "huge", "list")}
    files["empty"].touch()
    files["list"].write_text("[]")
    np.savez(files["huge"], X=np.full((50, 2), 1e200), y=np.arange(50) % 3)
    files["cut"].write_bytes(files["huge"].read_bytes()[:200])
    words = [files.get(w[1:-1], tmp_path if w == "{folder}" else w) for w in line.split()]
    done = RUNNER.invoke(app, list(map(str, words)))
    assert (done.exit_code, said in done.output) == (1, True), done.output
    assert "Traceback" not in done.output
    assert done.exception is None or isinstance(done.exception, SystemExit)
    assert not (tmp_path / "store").exists()


def test_an_init_that_failed_half_way_made_no_app(tmp_path, monkeypatch):
    monkeypatch.setenv("CROUPIER_VAR", str(tmp_path))
    (tmp_path / "log.csv").write_text("arm,propensity,reward\n" + "a,0.5,1\nb,0.5,0\n" * 20)
    (tmp_path / "default" / "catalogue.json").mkdir(parents=True)  # where a file should be
    done = RUNNER.invoke(app, ["init", str(tmp_path / "log.csv")])
    assert (done.exit_code, (tmp_path / "default" / "app.toml").exists()) == (1, False)
    (tmp_path / "default" / "catalogue.json").rmdir()
    done = RUNNER.invoke(app, ["init", str(tmp_path / "log.csv")])
    assert (done.exit_code, (tmp_path / "default" / "app.toml").exists()) == (0, True), done.output
    assert {p.name for p in (tmp_path / "default").iterdir()} == {
        ".gitignore",
        "app.toml",
        "catalogue.json",
        "import.json",
        "spool",
        "unit.key",
    }


@pytest.mark.parametrize("command", ["simulate gate", "simulate learning --policy uniform", "simulate rollout"])
def test_a_result_that_could_not_be_written_is_refused_before_the_work(tmp_path, command):
    done = RUNNER.invoke(app, [*command.split(), "--json", str(tmp_path)])
    assert (done.exit_code, "is a directory" in done.output) == (2, True)


@pytest.mark.parametrize(("name", "value", "expected"), [
    ("CROUPIER_AIRFLOW_PORT", "http", "expected a port from 1 to 65535"),
    ("CROUPIER_AIRFLOW_PORT", "70000", "expected a port from 1 to 65535"),
    ("CROUPIER_TRITON", "nonsense", "expected host:port"),
])  # fmt: skip
def test_up_names_a_port_that_is_none_and_down_makes_nothing(tmp_path, monkeypatch, name, value, expected):
    monkeypatch.setenv("CROUPIER_VAR", str(tmp_path / "var"))
    monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=rf"^{name}: found '{value}', {expected}"):
        standalone.main("up")
    standalone.main("down")
    assert not (tmp_path / "var").exists()
