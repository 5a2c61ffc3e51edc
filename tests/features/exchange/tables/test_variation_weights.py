"""Exposures of GrowthBook's contextual bandits, and any table that has all probabilities and not the chosen arm's."""

import json

import polars as pl
import pytest
from typer.testing import CliRunner

from croupier.features.exchange.sources import open_source
from croupier.features.workspace import Workspace
from croupier.serving.cli import app

# as its tracking callback logs an exposure (docs.growthbook.io/bandits/contextual), with a metric beside it
HEAD = "user_id,timestamp,experiment_id,variation_id,leaf_id,bandit_version,variation_weights,country,converted\n"
ROWS = [
    'u1,2026-03-01 10:00:00,hero,0,l1,3,"[0.6, 0.3, 0.1]",AT,1',
    'u2,2026-03-01 10:00:05,hero,2,l2,3,"[0.2, 0.2, 0.6]",BR,0',
    'u3,2026-03-01 10:00:09,hero,1,l1,3,"[0.6, 0.3, 0.1]",AT,0',
]
BROKEN = [
    'u4,2026-03-01 10:00:11,hero,1,l1,3,"[0.6, 0.3]",AT,0',
    "u5,2026-03-01 10:00:12,hero,1,l1,3,,AT,1",
    'u6,2026-03-01 10:00:13,hero,1,l1,3,"[0.7, 0.0, 0.3]",AT,1',
]


def table(tmp_path, rows, head=HEAD):
    path = tmp_path / "log.csv"
    path.write_text(head + "\n".join(rows) + "\n")
    return path


def test_the_propensity_is_the_shown_variations_weight(tmp_path):
    source = open_source(table(tmp_path, ROWS), unit_key="k")
    decisions = [record.decision for record in source.records()]
    assert [d.arm for d in decisions] == ["0", "2", "1"]
    assert [d.propensity for d in decisions] == [0.6, 0.6, 0.3]
    assert [d.pmf for d in decisions] == [(0.6, 0.3, 0.1), (0.2, 0.2, 0.6), (0.6, 0.3, 0.1)]
    assert all(d.stage == "" for d in decisions), "the whole pmf is known"
    assert [d.context for d in decisions] == [{"country": "AT"}, {"country": "BR"}, {"country": "AT"}]
    assert "column variation_weights has all probabilities: the propensity is the chosen arm's" in source.notes


def test_a_row_whose_weights_cannot_be_is_counted(tmp_path):
    source = open_source(table(tmp_path, ROWS + BROKEN), unit_key="k")
    assert [r.decision.propensity for r in source.records()] == [0.6, 0.6, 0.3]
    assert sum(source.skipped.values()) == 3
    assert source.skipped["bad propensity"] == 3


def test_a_variation_that_has_no_weight_is_a_row_that_is_counted_and_the_others_are_read(tmp_path):
    stray = 'u9,2026-03-01 10:00:11,hero,7,l1,3,"[0.6, 0.3, 0.1]",AT,1'
    source = open_source(table(tmp_path, [*ROWS, stray]), unit_key="k")
    assert [r.decision.arm for r in source.records()] == ["0", "2", "1"]
    assert [arm.arm_id for arm in source.arms()] == ["0", "1", "2"]
    assert source.skipped == {"bad arm": 1}


def test_the_weights_of_a_leaf_are_known_by_their_name(tmp_path):
    source = open_source(table(tmp_path, ROWS, head=HEAD.replace("variation_weights", "leaf_weights")), unit_key="k")
    assert [r.decision.pmf for r in source.records()] == [(0.6, 0.3, 0.1), (0.2, 0.2, 0.6), (0.6, 0.3, 0.1)]
    assert source.features == ["country"]
    with pytest.raises(
        ValueError, match=r"--column propensity=NAME \(or --column pmf=NAME, of all arms' probabilities;"
    ):
        open_source(table(tmp_path, ROWS, head=HEAD.replace("variation_weights", "shares")), unit_key="k")


def test_import_says_what_a_skipped_row_should_have_had_and_which_were_rounded(tmp_path, monkeypatch):
    monkeypatch.setenv("CROUPIER_VAR", str(tmp_path / "var"))
    rounded = 'u8,2026-03-01 10:00:14,hero,1,l1,3,"[0.33, 0.33, 0.33]",AT,1'
    wrong = 'u9,2026-03-01 10:00:15,hero,1,l1,3,"[0.6, 0.3, 0.05]",AT,1'
    path = str(table(tmp_path, [*ROWS, rounded, wrong]))
    assert CliRunner().invoke(app, ["init", path, "--app", "gb"]).exit_code == 0
    done = CliRunner().invoke(app, ["import", path, "--app", "gb"])
    expected = "expected one probability for each candidate, summing to 1 but for the rounding of the digits"
    assert f"skipped 1: bad pmf: {expected}" in done.output
    assert "4 new decisions" in done.output
    assert (
        "rows whose probabilities do not sum to 1, as rounding explains: 1; each was divided by their sum"
        in done.output
    )
    assert "off by up to 1.5% of itself" in done.output


@pytest.mark.parametrize(
    ("weights", "entry"), [((0.33,) * 3, 1 / 3), ((0.17,) * 6, 1 / 6), ((0.67, 0.34), 0.34 / 1.01)]
)
def test_weights_of_two_digits_are_made_whole(tmp_path, weights, entry):
    """As GrowthBook's exports have them: the log's own propensity is what was drawn from, to within the rounding."""
    shown = len(weights) - 1
    source = open_source(
        table(tmp_path, [f'u{i},2026-03-01 10:00:0{i},hero,{i},l1,3,"{list(weights)}",AT,1' for i in range(shown + 1)]),
        unit_key="k",
    )
    decision = [record.decision for record in source.records()][shown]
    assert decision.propensity == decision.pmf[shown] == pytest.approx(entry, abs=1e-12)
    assert sum(decision.pmf) == pytest.approx(1.0, abs=1e-12)
    assert not source.skipped
    assert source.rounding.sums == shown + 1
    assert len(list(source.records())) == source.rounding.sums == shown + 1, "each pass counts anew"


def test_with_a_column_of_candidates_the_order_is_theirs(tmp_path):
    rows = [
        'b,"[""a"", ""b""]","[0.25, 0.75]",1',
        'a,"[""b"", ""a""]","[0.9, 0.1]",0',
        'c,"[""a"", ""b""]","[0.5, 0.5]",0',
    ]
    source = open_source(table(tmp_path, rows, head="arm,arms,pmf,reward\n"), unit_key="k")
    assert [r.decision.propensity for r in source.records()] == [0.75, 0.1]
    assert source.skipped == {"bad arm": 1}


def test_neither_is_still_named(tmp_path):
    with pytest.raises(ValueError, match="found no column for the propensity"):
        open_source(table(tmp_path, ["a,1"], head="arm,reward\n"), unit_key="k")


@pytest.mark.medium
def test_it_becomes_an_app_and_is_there_once(tmp_path, monkeypatch):
    monkeypatch.setenv("CROUPIER_VAR", str(tmp_path / "var"))
    log = table(tmp_path, ROWS * 20 + BROKEN)
    for command, expected in (("init", 0), ("import", 0), ("import", 0)):
        done = CliRunner().invoke(app, [command, str(log), "--app", "hero", "--json"])
        assert done.exit_code == expected, done.output
    again = json.loads(done.stdout)
    assert (again["decisions"], again["skipped"]) == (0, 3)
    assert set(Workspace.known("hero").spec.context) == {"country"}
    frame = pl.read_csv(log)
    assert again["repeated"] == len(frame) - 3
