"""What a newcomer with a log of own column names is told, and can do with it."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from typer.testing import CliRunner

from croupier.serving.cli import app

COLUMNS = {"arm": "gezeigt", "propensity": "Wahrscheinlichkeit", "reward": "gekauft"}


@pytest.fixture
def log(tmp_path, monkeypatch):
    monkeypatch.setenv("CROUPIER_VAR", str(tmp_path / "var"))
    monkeypatch.delenv("CROUPIER_APP", raising=False)
    monkeypatch.chdir(tmp_path)
    both = '"[""007"", ""7""]"'
    rows = [
        f"2026-01-01 00:{i // 60:02d}:{i % 60:02d};k{i % 50};{'007' if i % 2 else '7'};{both};0,5;{'1' * (i % 4 == 1)}"
        for i in range(400)
    ]
    path = tmp_path / "bestellungen.csv"
    path.write_text("\n".join(["Zeit;Kunde;gezeigt;Auswahl;Wahrscheinlichkeit;gekauft", *rows]) + "\n")
    return path


def croupier(line, **columns):
    done = CliRunner().invoke(app, [*line.split(), *(f"--column={role}={name}" for role, name in columns.items())])
    return done.exit_code, " ".join(done.stdout.split()), " ".join(done.stderr.split())


def test_init_says_by_which_option_a_column_of_times_or_candidates_is_named(log):
    code, _, err = croupier("init bestellungen.csv --app garten")
    assert (code, "say --column arm=NAME --column propensity=NAME --column reward=NAME" in err) == (1, True)
    code, out, _ = croupier("init bestellungen.csv --app garten", **COLUMNS)
    assert code == 0
    assert "if a column says when it was decided, say --column at=NAME" in out
    assert "if a column lists them, say --column arms=NAME" in out
    code, out, _ = croupier(
        "init bestellungen.csv --app garten --force", **COLUMNS, at="Zeit", arms="Auswahl", unit_id="Kunde"
    )
    assert (code, "--column at=NAME" in out, "--column arms=NAME" in out) == (0, False, False)


def test_import_says_what_to_run_without_airflow_and_a_list_of_decisions_shows_ids_whole(log):
    assert croupier("init bestellungen.csv --app garten", **COLUMNS, at="Zeit", arms="Auswahl", unit_id="Kunde")[0] == 0
    code, out, _ = croupier("import bestellungen.csv --app garten")
    assert (code, "400 new decisions, 100 new rewards" in out) == (0, True)
    assert "decided from 2026-01-01T00:00 to 2026-01-01T00:06 UTC" in out
    days = int(out.rpartition("or, without Airflow: croupier turn --app garten --last ")[2].removesuffix("d"))
    old = datetime.now(UTC) - datetime(2026, 1, 1, tzinfo=UTC)
    assert timedelta(0) <= timedelta(days=days) - old < timedelta(days=1, minutes=5), "all of it, and no day more"
    assert "this host's spool: 400 decisions, 100 rewards, 0 rejects" in croupier("account --app garten")[1]
    (one,) = json.loads(croupier("replay --unit k7 --most 1 --app garten --json")[1])
    done = CliRunner().invoke(app, ["replay", "--unit", "k7", "--most", "1", "--app", "garten"])
    cells = [line.split("│")[2].strip() for line in done.stdout.splitlines() if line.startswith("│")]
    assert "".join(cells) == one["event_id"]
