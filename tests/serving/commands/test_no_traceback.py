"""Whatever is asked of whichever command, on whatever it finds: one sentence and a documented exit code, no traceback."""

import os

import pytest
from typer.testing import CliRunner

from croupier.serving.cli import app
from tests import shop
from tests.house.test_telling import ARGUMENTS, LOG, TOML, everything, with_app

pytestmark = pytest.mark.medium  # a second each, or many of them: not in `make check`

LONG = {  # commands that go on for long, or until they are stopped
    "simulate allocate",
    "simulate health",
    "simulate linear",
    "simulate changes",
    "serve run",
    "serve up",
    "gateway",
    "exporter",
    "capacity",
    "simulate traffic",
    "simulate loop",
    "simulate gate",
    "simulate rollout",
    "simulate pacing",
    "simulate pricing",
    "simulate learning",
    "simulate slates",
}
COMMANDS = [words for words, _ in everything()]


def call(*words):
    """(exit code, standard output, standard error); fails on what no operator should see."""
    done = CliRunner().invoke(app, list(words), input="n\n")
    assert done.exception is None or isinstance(done.exception, SystemExit), (words, repr(done.exception))
    assert done.exit_code in (0, 1, 2, 3), (words, done.exit_code)
    assert "Traceback" not in done.output
    if done.exit_code in (1, 2):
        assert done.stderr or done.exit_code == 1, words
    return done.exit_code, done.stdout, done.stderr


@pytest.fixture
def home(tmp_path, monkeypatch):
    home = shop.of_commands(tmp_path, monkeypatch)
    home.mkdir(parents=True)
    (home / "app.toml").write_text(TOML)
    (home / "catalogue.json").write_text('[{"arm_id": "a"}, {"arm_id": "b"}]')
    (tmp_path / "log.csv").write_text(LOG)
    return home


@pytest.mark.parametrize("words", [words for words in COMMANDS if words not in LONG])
def test_without_a_single_argument(home, words):
    call(*words.split())


@pytest.mark.parametrize("words", COMMANDS)
def test_with_arguments_that_nobody_asked_for(home, words):
    assert call(*words.split(), *["x"] * 5, "--json")[0] in (1, 2)


@pytest.mark.parametrize("words", with_app())
@pytest.mark.parametrize(
    ("given", "said"), [("my-books", "did you mean my_books?"), ("Shop", "did you mean shop?"), ("../x", "found")]
)
def test_a_name_that_can_be_no_apps_says_where_it_was_given(home, monkeypatch, words, given, said):
    code, out, err = call(*words.split(), *ARGUMENTS.get(words, []), "--app", given)
    told = " ".join(err.replace("│", " ").split())
    assert (code, out) == (2, "")
    assert f"--app: found '{given}'" in told, told
    assert said in told, told
    assert "CROUPIER_APP" not in told
    monkeypatch.setenv("CROUPIER_APP", given)
    code, out, err = call(*words.split(), *ARGUMENTS.get(words, []))
    assert (code in (1, 2), out) == (True, "")
    assert f"CROUPIER_APP: found '{given}'" in " ".join(err.replace("│", " ").split())


def garbage(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(range(256)) * 9)


def folder(path):
    path.unlink(missing_ok=True)
    path.mkdir(parents=True)


FILES = {
    "none": lambda p: None, "empty": lambda p: p.touch(), "bytes": garbage, "folder": folder, "text": lambda p: p.write_text("a\nb\n"),
    "json": lambda p: p.write_text('{"a": [1, {"b": null}]}'), "list": lambda p: p.write_text("[[1], 2]"),
    "dangling link": lambda p: p.symlink_to("nowhere"), "device": lambda p: p.symlink_to("/dev/null"),
    "deep": lambda p: p.write_text("[" * 100_000),
}  # fmt: skip
TAKE_FILES = [
    "init {}", "import {}", "ope {} --policy uniform", "ope {} --target-pmf x", "gate report {}", "arm add --file {}",
    "arm retire --file {}", "simulate gate --data {}", "export {} --start x", "keys tls {}", "keys make {}",
]  # fmt: skip


@pytest.mark.parametrize("line", TAKE_FILES)
@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("ending", ["csv", "json", "parquet"])
def test_on_files_that_are_none(home, line, kind, ending):
    path = home.parent.parent / f"f.{ending}"
    FILES[kind](path)
    words = [str(path) if word == "{}" else word for word in line.split()]
    code, out, err = call(*words, *(["--json"] if "ope" not in line and "simulate" not in line else ["--json", "-"]))
    if not line.startswith("keys"):
        assert (code in (1, 2), out) == (True, ""), (code, out)
        assert err


def test_the_exit_codes_are_those_of_the_readme(home):
    from pathlib import Path

    table = (Path(__file__).parents[3] / "README.md").read_text()
    assert all(f"\n| {code} | " in table for code in (0, 1, 2, 3, 130))
    assert os.environ["CROUPIER_APP"] == "shop"
