"""Every command over an app.toml that cannot be used, or over other broken files of an app: it refuses in one sentence
that names the file, or it answers what it would over a sound one; there is no third way, and never a traceback."""

import json
import re
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from croupier.serving.cli import app
from tests import shop
from tests.house.test_telling import ARGUMENTS, LOG, TOML, with_app
from tests.serving.commands.test_no_traceback import LONG, call, folder, garbage

pytestmark = pytest.mark.medium  # a second each, or many of them: not in `make check`

GIVEN = ARGUMENTS | {"ope": ["log.csv", "--policy", "1"], "serve down": [], "account": []}
READ_IT = {"import", "health", "turn", "rollout status", "rollout watch", "rollout report", "arm add", "arm retire", "arm list",
           "app diff", "forget"}  # fmt: skip
MAKE_IT = {"init", "app init", "migrate personalizer"}
ASKED = [words for words in with_app() if words not in LONG]

TOMLS = {
    "no TOML": ("reward = \n[[[", ["found what is not TOML", "line 1", "expected"]),
    "a misspelt table": (TOML + "[trainng]\ndays = 1\n", ["trainng: found", "did you mean training?"]),
    "a misspelt key": (TOML + "[training]\nevry = '1d'\n", ["training.evry: found '1d'", "did you mean every?"]),
    "of a feature": ("[context.age]\ntyp = 'numeric'\n", ["context.age.typ", "did you mean type?"]),
    "of a list": ("[[interactions]]\nc = 'context.age'\n", ["interactions.0.a: found no such key, expected a value"]),
    "of no table": ("zzz = 1\n" + TOML, ["zzz: found 1 under a key that there is not; expected one of reward, "]),
    "a wrong type": (
        TOML + "[training]\ndays = 'many'\n",
        ["training.days: found 'many', expected a number, without quotes"],
    ),
    "a number for a table": ("context = 7\n", ["context: found 7, expected a table"]),
    "a text for a list": ('[reward]\nguardrails = "ill"\n', ["reward.guardrails: found 'ill', expected a list ("]),
    "a misspelt auto": (
        '[policies]\ncandidates = "atuo"\n',
        ["policies.candidates: found 'atuo', expected \"auto\", or names of policies in a list ("],
    ),
    "a duration without end": (
        "[training]\nevery = '999999999d'\n",
        ["training.every: found '999999999d', expected 36,500 days at most"],
    ),
    "latin-1": (f"# Gr\xfc\xdfe\n{TOML}".encode("latin-1"), ["byte 0xfc in line 1 is not UTF-8", "iconv"]),
    "utf-16": (TOML.encode("utf-16"), ["byte 0xff in line 1 is not UTF-8"]),
    "a NUL": (TOML.encode() + b"\0", ["found what is not TOML", "line 4"]),
    "too deep": ("a = " + "[" * 5000 + "]" * 5000, ["too deep"]),
}


def removed(path):
    path.unlink()


def looped(path):
    path.unlink()
    path.symlink_to(path.name)


PATHS = {
    "missing": (removed, ["found no such file, expected the declaration of an app; `croupier init LOG`"]),
    "a folder": (folder, ["found a folder, expected the declaration of an app; move it away"]),
    "a loop of links": (looped, ["found Too many levels of symbolic links, expected the declaration"]),
}


@pytest.fixture
def var(tmp_path, monkeypatch):
    shop.of_commands(tmp_path, monkeypatch)
    return anew(tmp_path)


def anew(where):
    shutil.rmtree(where / "var", ignore_errors=True)
    home = where / "var" / "shop"
    home.mkdir(parents=True)
    (home / "app.toml").write_text(TOML)
    (home / "catalogue.json").write_text('[{"arm_id": "a"}, {"arm_id": "b"}]')
    (where / "log.csv").write_text(LOG)
    return where / "var"


def said_by(words):
    """(exit code, everything said as one line), of every kind of ending; `ship` says what o'clock it is."""
    code, out, err = call(*words.split(), *GIVEN.get(words, []))
    return code, re.sub(r"^\d\d:\d\d:\d\d ", "", " ".join(out.split())), " ".join(err.split())


def held_against(var, kind, spoil, said, asked=ASKED):
    """Asks commands over a sound app.toml and over a spoilt one; returns who refused."""
    refused = set()
    for words in asked:
        if words in MAKE_IT:
            continue
        sound = said_by(words)
        path = anew(var.parent) / "shop" / "app.toml"
        spoil(path)
        code, out, err = said_by(words)
        anew(var.parent)
        if (code, out, err) == sound:
            continue
        refused.add(words)
        told = out if words == "app check" else err
        assert (code, str(path) in told, "Errno" in told) == (1, True, False), (kind, words, told)
        assert told.startswith("PROBLEM: " if words == "app check" else "croupier: "), told
        assert all(part in told for part in said), (words, told)
        assert out in (told, ""), (words, out)
    return refused


def spoiling(kind):
    """(what spoils the file, what has to be said)"""
    if kind in PATHS:
        return PATHS[kind]
    given, said = TOMLS[kind]
    body = given if isinstance(given, bytes) else given.encode()
    return (lambda path: path.write_bytes(body)), said


@pytest.mark.parametrize("kind", [*TOMLS, *PATHS])
def test_what_is_wrong_with_app_toml_is_said_in_a_sentence(var, kind):
    asked = ["app check", "app diff", "import"]
    assert held_against(var, kind, *spoiling(kind), asked) == set(asked)


@pytest.mark.parametrize("kind", ["a misspelt key", "latin-1", "missing", "a folder"])
def test_whoever_reads_app_toml_names_it_and_others_answer_as_ever(var, kind):
    refused = held_against(var, kind, *spoiling(kind))
    assert refused >= READ_IT | {"app check"}, READ_IT - refused


def test_what_makes_an_app_overwrites_none_and_names_what_is_in_the_way(var):
    path = var / "shop" / "app.toml"
    for kind in ("folder", "file"):
        if kind == "folder":
            folder(path)
        for words in MAKE_IT:
            code, out, err = said_by(words)
            assert (code, out, err.startswith(f"croupier: {path} is there already")) == (1, "", True)
        anew(var.parent)


def test_an_empty_declaration_is_one_with_every_default(var):
    """`croupier app init` writes one with every key commented out."""
    (var / "shop" / "app.toml").write_text("")
    assert (said_by("app check")[0], "features: 0 in [context]" in said_by("app check")[1]) == (0, True)
    code, out, err = said_by("import")
    assert (code, "skipped 60: undeclared kind" in out, "1970" in out) == (1, True, False)
    assert err == "croupier: log.csv: found no row that could be taken, for the reasons above; mend the log or app.toml"
    done = CliRunner().invoke(app, ["import", "log.csv", "--json"])
    assert (done.exit_code, json.loads(done.stdout)["skipped"]) == (1, 60)


@pytest.mark.parametrize("words", ASKED)
def test_a_file_in_the_place_of_the_apps_folder_or_of_the_apps_is_named(var, words):
    for place, what in ((var / "shop", "app shop"), (var, "apps")):
        shutil.rmtree(place)
        place.write_text("x")
        code, out, err = said_by(words)
        told = f"croupier: {place}: found a file, expected the folder of {what}; move it away"
        assert (code, out, err.startswith(told)) == (1, "", True), (words, err)
        place.unlink()
        anew(var.parent)


@pytest.mark.parametrize("words", [words for words in ASKED if words not in MAKE_IT])
def test_an_app_without_a_folder_is_named(var, words):
    shutil.rmtree(var / "shop")
    code, out, err = said_by(words)
    if words in ("serve down", "serve status", "serve health"):
        assert code in (0, 1, 3)
    else:
        assert (code, out, str(var / "shop") in err, "expected" in err) == (1, "", True, True), err
    assert not (var / "shop" / "unit.key").exists()


OTHERS = {
    "no catalogue": ("catalogue.json", removed), "catalogue is bytes": ("catalogue.json", garbage),
    "catalogue is of numbers": ("catalogue.json", lambda p: p.write_text("[1, 2]")),
    "spool is bytes": ("spool/log.db", garbage), "store is a file": ("store", garbage), "key is bytes": ("unit.key", garbage),
    "columns are bytes": ("import.json", garbage), "release pointer is bytes": ("store/releases/current", garbage),
    "rollout is bytes": ("store/rollout/state.json", garbage), "owner is bytes": ("store/croupier.json", garbage),
    "pid is bytes": ("triton.pid", garbage), "ports are bytes": ("ports.json", garbage),
    "supervisor's pid is bytes": ("supervisor.pid", garbage),
}  # fmt: skip


@pytest.mark.parametrize("broken", OTHERS)
def test_on_an_app_of_which_another_file_is_broken(var, broken):
    name, spoil = OTHERS[broken]
    for words in ASKED:
        if words not in MAKE_IT:
            spoil(anew(var.parent) / "shop" / name)
            code, out, err = call(*words.split(), *GIVEN.get(words, []), "--json")
            if code == 1 and not out:
                assert err.startswith("croupier: "), (words, err)
                assert len(err.strip()) > len("croupier: ") + 20, (words, err)
            if out:
                json.loads(out)
    assert Path("log.csv").exists()
