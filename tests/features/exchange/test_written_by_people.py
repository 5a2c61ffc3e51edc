"""Tables as people write them: each is read as what it surely is, with a note, or refused by name."""

import csv
import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from typer.testing import CliRunner

from croupier.features.exchange.arm_ids import alike
from croupier.features.exchange.guess import guess_app
from croupier.features.exchange.sources import open_source
from croupier.serving.cli import app

N, START = 400, datetime(2026, 10, 24, 23, tzinfo=UTC)
ARMS = np.array(["red", "green", "blue"])
RNG = np.random.default_rng(3)
ARM = RNG.integers(3, size=N)
CLICKED = (RNG.random(N) < np.array([0.1, 0.2, 0.4])[ARM]).astype(int)
COINS = RNG.integers(4, size=N)  # how a cell is spelled


def table(tmp_path, **more):
    columns = {
        "timestamp": [(START + timedelta(seconds=30 * i)).isoformat() for i in range(N)],
        "arm": ARMS[ARM], "propensity": ["0.333333"] * N, "clicked": CLICKED,
        "device": RNG.choice(["phone", "desk"], N), **more,
    }  # fmt: skip
    path = tmp_path / "log.csv"
    with path.open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(columns)
        out.writerows(zip(*columns.values(), strict=True))
    return path


def source_of(path):
    return open_source(path, unit_key="k", columns={})


def ips(path):
    done = CliRunner().invoke(app, ["ope", str(path), "--policy", "arm:blue", "--json", "-"])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)["estimates"]["ips"]["value"]


TRUE_IPS = CLICKED[ARM == 2].sum() * 3 / N


@pytest.mark.parametrize(
    ("yes", "no"),
    [(["TRUE", "1", "true", "True"], ["FALSE", "0", "false", "False"]), (["yes"] * 4, ["no"] * 4),
     ([" Y ", "1.0", "t", "yes"], ["n", "0", "F", "No"])],
)  # fmt: skip
def test_rewards_in_words_are_all_read(tmp_path, yes, no):
    path = table(tmp_path, clicked=[(yes if c else no)[k] for c, k in zip(CLICKED, COINS, strict=True)])
    source = source_of(path)
    assert [r.rewards[0].value for r in source.records()] == CLICKED.tolist()
    assert any("are read as numbers" in note for note in source.notes)
    assert ips(path) == pytest.approx(TRUE_IPS, rel=1e-5)


def test_grouped_digits_are_numbers_and_the_largest_rewards_are_not_passed_over(tmp_path):
    amounts = CLICKED * RNG.integers(500, 2500, N)
    path = table(tmp_path, reward=[f"{x:,}.00" for x in amounts], clicked=[""] * N)
    assert [r.rewards[0].value for r in source_of(path).records()] == amounts.tolist()


def test_rewards_that_nobody_can_read_are_refused_and_few_are_counted(tmp_path):
    strange = ["maybe" if c else "0" for c in CLICKED]
    with pytest.raises(
        ValueError, match=r"column clicked: found 'maybe' among the rewards, and \d+ like it in 400 rows"
    ):
        source_of(table(tmp_path, clicked=strange))
    source = source_of(table(tmp_path, clicked=["oops", *CLICKED[1:]]))
    assert len(list(source.records())) == N - 1
    assert dict(source.skipped) == {"bad reward": 1}


def test_per_cent(tmp_path):
    assert ips(table(tmp_path, propensity=["33.3333 %"] * N)) == pytest.approx(TRUE_IPS, rel=1e-4)
    half = ["0.5" if k == 0 else "33.3" for k in COINS]  # half a per cent reads like a probability
    with pytest.raises(ValueError, match=r"propensities up to 33\.3, expected probabilities from 0 to 1"):
        source_of(table(tmp_path, propensity=half))


def test_a_log_without_chance_says_so(tmp_path):
    assert any("every propensity is 1" in note for note in source_of(table(tmp_path, propensity=["1.0"] * N)).notes)


def test_blanks_around_arms_make_no_arm_of_their_own_and_case_is_said(tmp_path):
    padded = [name + " " * int(k == 1) if k < 3 else f" {name}" for name, k in zip(ARMS[ARM], COINS, strict=True)]
    path = table(tmp_path, arm=padded)
    assert [arm.arm_id for arm in source_of(path).arms()] == ["blue", "green", "red"]
    assert ips(path) == pytest.approx(TRUE_IPS, rel=1e-5)
    shouted = [name.upper() if k == 1 else name for name, k in zip(ARMS[ARM], COINS, strict=True)]
    told = alike(arm.arm_id for arm in source_of(table(tmp_path, arm=shouted)).arms())
    assert any("are different arms; if they are one" in note for note in told)


def test_local_times_are_said_to_be_taken_for_utc_and_others_are_named(tmp_path):
    local = [(START + timedelta(seconds=30 * i)).strftime("%Y-%m-%d %H:%M:%S") for i in range(N)]
    source = source_of(table(tmp_path, timestamp=local))
    assert "times in column timestamp name no zone: they are taken for UTC, not for local time" in source.notes
    assert not any("name no zone" in note for note in source_of(table(tmp_path)).notes)
    american = source_of(table(tmp_path, timestamp=["10/24/2026 11:00 PM"] * N))
    assert list(american.records()) == []
    assert dict(american.skipped) == {"bad time": N}


def test_columns_that_count_the_rows_are_no_features_and_written_numbers_are(tmp_path):
    path = table(tmp_path, **{
        "Unnamed: 0": range(N), "row": range(1, N + 1), "income": [f"{x:,}" for x in RNG.integers(1500, 9999, N)],
        "price": [f"€{x:.2f}" for x in RNG.gamma(3, 9, N)], "temperature": [f"\N{MINUS SIGN}{k + 1}.5" for k in COINS],
    })  # fmt: skip
    guess = guess_app(source_of(path))
    notes = {note.split(": ")[0]: note for note in guess.notes}
    assert "context.Unnamed: 0: left out: it counts the rows, from 0 to 399" in guess.notes
    assert notes["context.row"] == "context.row: left out: it counts the rows, from 1 to 400"
    for name in ("income", "price", "temperature"):
        assert notes[f"context.{name}"].startswith(f"context.{name}: numbers from "), notes
    assert "Unnamed" not in guess.toml


def test_days_of_a_spreadsheet_are_no_seconds(tmp_path):
    days = [46_000 + i / 100 for i in range(N)]
    with pytest.raises(ValueError, match=r"column timestamp: found 46000, a spreadsheet's count of days"):
        source_of(table(tmp_path, timestamp=days))
    seconds = [1_790_000_000 + i for i in range(N)]
    assert {r.decision.at // 10**6 for r in source_of(table(tmp_path, timestamp=seconds)).records()} == set(seconds)
    since_the_start = source_of(table(tmp_path, timestamp=[150.0 * i for i in range(N)]))
    assert len(list(since_the_start.records())) == N


def test_a_code_with_leading_zeros_is_no_number(tmp_path):
    path = table(tmp_path, postcode=["01067", "1099"] * (N // 2), height=["0.5", "07"] * (N // 2))
    source = source_of(path)
    assert {r.decision.context["postcode"] for r in source.records()} == {"01067", "1099"}
    notes = {note.split(": ")[0]: note for note in guess_app(source).notes}
    assert notes["context.postcode"] == "context.postcode: 2 categories"
    assert notes["context.height"].startswith("context.height: numbers from 0.5 to 7")
