"""Every command that tells something tells it as JSON, too, and ends with the exit code that the README says."""

import json
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
import typer
from typer.testing import CliRunner

from croupier.features.encoding import catalogue
from croupier.features.encoding.encoder import Encoder
from croupier.features.schema import Arm
from croupier.features.store.storage import open_store
from croupier.features.workspace import Workspace
from croupier.models.baselines import FixedArm, Uniform
from croupier.serving.cli import COMMANDS, app
from croupier.serving.operate import publish
from croupier.serving.release import bundle
from tests import shop

ARMS = [Arm(arm_id=name, features={}) for name in ("a", "b")]
TOML = '[context.device]\ntype = "categorical"\n[reward.kinds.reward]\n'
LOG = "user,device,arm,propensity,reward\n" + "u1,phone,a,0.5,1\nu2,tablet,b,0.5,0\n" * 30
SPEAKS_ONLY_TO_A_LOG = {"serve run", "gateway", "exporter"}


def leaves(command, path=()):
    """(words, command) of everything that can be called."""
    if isinstance(command, click.Group) or hasattr(command, "commands"):
        if command.invoke_without_command:  # `health`, which has verbs besides
            yield " ".join(path), command
        for name, each in command.commands.items():
            yield from leaves(each, (*path, name))
    else:
        yield " ".join(path), command


def everything():
    group = typer.main.get_command(app)
    for name in COMMANDS:
        yield from leaves(group.get_command(None, name), (name,))


def test_every_command_has_json():
    without = {words for words, command in everything() if "--json" not in {o for p in command.params for o in p.opts}}
    assert without == SPEAKS_ONLY_TO_A_LOG


@pytest.fixture
def bare(tmp_path, monkeypatch):
    """An app `shop` that is declared, and a file beside it."""
    home = shop.of_commands(tmp_path, monkeypatch)
    home.mkdir(parents=True)
    (home / "app.toml").write_text(TOML)
    catalogue.write(home / "catalogue.json", ARMS)
    Path("log.csv").write_text(LOG)
    return tmp_path / "var"


@pytest.fixture
def var(bare):
    """The same with a log, and a release whose candidate is at its first stage."""
    home = bare / "shop"
    spec = Workspace.open("shop").spec

    def build(folder, number):
        bundle.write_release(
            folder,
            number=number,
            champion=Uniform(),
            candidate=FixedArm(arm="a"),
            encoder=Encoder.empty(spec, ARMS),
            arms=ARMS,
            floor=0.1,
            meta={},
        )

    publish.publish(open_store(str(home / "store")), home, build, triton=None)
    assert croupier("import", "log.csv", "--column", "unit_id=user")[0] == 0
    return bare


def croupier(*words):
    """(exit code, standard output alone)"""
    done = CliRunner().invoke(app, list(words))
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stdout


def told(*words, code=0):
    found, out = croupier(*words, "--json")
    assert found == code, out
    return json.loads(out)  # nothing stands beside it


@pytest.mark.medium
def test_what_is_told_is_told_as_json(var):
    assert told("rollout", "status") | {"since": 0} == {
        "app": "shop",
        "release": 1,
        "stage": "5%",
        "share": 0.05,
        "held": "",
        "server_here": False,
        "since": 0,
        "reason": "release 1 published",
        "evidence": {},
    }
    assert told("rollout", "advance", "--reason", "well")["stage"] == "20%"
    assert [entry["share"] for entry in told("rollout", "history")] == [0.05, 0.2]
    assert told("rollout", "watch")["release"] == 1
    assert Path(told("rollout", "report")["page"]).exists()
    assert told("rollout", "rollback", "1")["number"] == 2
    assert told("rollout", "abort", "--yes")["stage"] == "aborted"
    assert [(row["number"], row["status"]) for row in told("release", "list")] == [(1, "past"), (2, "current")]
    assert told("release", "verify", "2")["whole"] is True
    assert told("release", "follow") == {"app": "shop", "deployed": None, "catalogue": ""}
    assert told("release", "prune", "--keep", "1") == {"app": "shop", "deleted": []}
    assert told("account")["spool"]["decisions"] == 60
    assert told("restatements") == []
    assert set(told("report")) == set()  # the rollout's page is of another kind


@pytest.mark.medium
def test_a_log_in_and_out_is_told_as_json(var):
    again = told("import", "log.csv", "--column", "unit_id=user")
    assert (again["decisions"], again["repeated"], again["conflicting"], again["reasons"]) == (0, 60, 0, {})
    made = told("init", "log.csv", "--app", "other", "--column", "unit_id=user")
    assert (made["app"], made["arms"], Path(made["app_toml"]).exists()) == ("other", 2, True)
    assert croupier("export", "out.parquet", "--json") == (1, "")
    found = told("replay", "--unit", "u1")
    assert [row["arm"] for row in found] == ["a"] * 20
    assert told("replay", "--unit", "u1", "--most", "100")[-1] == found[-1]
    assert told("replay", "--unit", "u3") == []
    one = told("replay", found[0]["event_id"])
    assert (one["same"], one["arm"], one["steps"][0]["step"]) == (True, "a", "release")
    assert told("forget", "u1")["rows"] > 30


def test_servers_are_told_as_json(bare):
    assert told("serve", "status", code=3)["running"] is False
    assert told("serve", "health", code=1)["healthy"] is False
    assert told("serve", "down") == {"app": "shop", "stopped": False}


@pytest.mark.medium
@pytest.mark.parametrize("line", [
    "ope log.csv --policy arm:a --arm arm", "simulate rollout --runs 3 --effect -0.6", "simulate gate --runs 2 --rows 2000",
    "simulate learning --policy uniform --rounds 50 --seeds 2",
])  # fmt: skip
def test_long_ones_print_json_alone_when_asked_to(bare, line):
    code, out = croupier(*line.split(), "--json", "-")
    assert code == 0
    assert isinstance(json.loads(out), dict)
    assert not Path("-").exists()


def with_app():
    return [words for words, command in everything() if any("--app" in p.opts for p in command.params)]


ARGUMENTS = {
    "migrate personalizer": ["--export", "saved"],"rollout rollback": ["1"], "release verify": ["1"], "init": ["log.csv"], "import": ["log.csv"], "forget": ["u1"],
             "export": ["x.parquet"], "replay": ["e"], "ope": ["log.csv", "--policy", "1"], "rollout abort": ["--yes"],
             "health silence": ["--list"], "arm add": ["a"], "arm retire": ["a"], "arm pause": ["a"], "arm resume": ["a"],
             "site moments": ["x.json", "--site", "graz", "--from", "2026-01-01T00:00Z", "--to", "2026-01-02T00:00Z"],
             "site add": ["x.json", "--features", "k"],
             "quarantine release": ["--hour", "2026-01-01T00", "--reason", "r"],
             "quarantine drop": ["--hour", "2026-01-01T00", "--reason", "r"]}  # fmt: skip
MAY_MAKE_AN_APP = {"migrate personalizer", "init", "app init"}


@pytest.mark.parametrize("words", with_app())
def test_a_misspelt_app_is_refused_by_every_command_and_not_made(bare, words):
    if words in MAY_MAKE_AN_APP:
        pytest.skip("a new name is what it is for")
    done = CliRunner().invoke(app, [*words.split(), *ARGUMENTS.get(words, []), "--app", "shpo"])
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.endswith("did you mean shop?\n")
    assert not (bare / "shpo").exists()


@pytest.mark.parametrize("words", [words for words, _ in everything()])
def test_a_wrong_call_ends_with_2(bare, words):
    done = CliRunner().invoke(app, [*words.split(), "--no-such-option"])
    assert (done.exit_code, done.stdout) == (2, "")


@pytest.mark.parametrize(("line", "code"), [
    ("release verify 9", 1), ("rollout rollback 9", 1), ("rollout report --release 9", 1), ("replay nobody", 1),
    ("replay", 2), ("replay e --unit u", 2), ("release prune --keep 0", 2), ("init log.csv", 1), ("import none.csv", 1),
    ("export out.xlsx", 1), ("gate report", 1), ("gate report none.json", 1), ("ope log.csv", 1),
    ("simulate rollout --world moon", 1), ("serve status", 3), ("serve health", 1), ("nonsense", 2), ("rollout abort", 1),
])  # fmt: skip
def test_refusals_end_as_the_readme_says(bare, line, code):
    done = CliRunner().invoke(app, line.split(), input="n\n")
    assert done.exit_code == code, done.output
    assert "Traceback" not in done.output
    table = (Path(__file__).parents[2] / "README.md").read_text()
    assert f"\n| {code} | " in table


def complete(shell, line):
    """What a shell would offer at the end of the line."""
    words = line.split(" ")
    asked = {"_CROUPIER_COMPLETE": f"complete_{shell}", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1),
             "_TYPER_COMPLETE_ARGS": line}  # fmt: skip
    done = subprocess.run(
        [str(Path(sys.executable).parent / "croupier")],
        env=os.environ | asked,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout


@pytest.mark.medium
@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_completion_reaches_every_level(bare, shell):
    assert "rollout" in complete(shell, "croupier ro")
    assert "history" in complete(shell, "croupier rollout hi")
    (bare / "shoes").mkdir()
    (bare / "shoes" / "app.toml").write_text("")
    for line in ("croupier rollout status --app sho", "croupier serve up --app sho"):
        offered = complete(shell, line)
        assert ("shoes" in offered, "shop" in offered) == (True, True)
    assert "shoes" not in complete(shell, "croupier rollout status --app shop")


@pytest.mark.medium
def test_the_completion_script_is_shown(bare):
    shown = subprocess.run([str(Path(sys.executable).parent / "croupier"), "--show-completion", "bash"], capture_output=True,
                           text=True, check=False, env=os.environ | {"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"})  # fmt: skip
    assert "complete -o default -F _croupier_completion croupier" in shown.stdout
