"""Tables of others in: roles found or named, what is missing said, and a first app.toml guessed."""

import pandas as pd
import polars as pl
import pytest

from croupier.features.exchange.guess import guess_app
from croupier.features.exchange.sources import open_source
from croupier.features.exchange.tables.tabular import TableSource
from croupier.features.quality.audit import PROPENSITY_ONLY
from croupier.features.schema import Decision
from croupier.features.spec import AppSpec

TABLE = pl.DataFrame({
    "user_id": ["ann@example.org", "bob", "ann@example.org"], "item_id": [3, 1, 3], "click": [1, None, 0],
    "propensity_score": [0.5, 0.25, 0.5], "timestamp": ["2024-05-01T10:00:00Z", "2024-05-01T10:00:01Z", None],
    "age": [30.5, None, 41.0], "city": ["Wien", "Graz", "Wien"], "arm.genre": ["x", "y", "x"],
})  # fmt: skip


def spec_of(guess, tmp_path):
    (tmp_path / "guess.toml").write_text(guess.toml)
    return AppSpec.read(tmp_path / "guess.toml")


@pytest.mark.parametrize("ending", ["csv", "parquet", "tsv"])
def test_a_table(tmp_path, ending):
    path = tmp_path / f"log.{ending}"
    if ending == "parquet":
        TABLE.write_parquet(path)
    else:
        TABLE.write_csv(path, separator="\t" if ending == "tsv" else ",")
    source = open_source(path, unit_key="k")
    records = list(source.records())
    first, second, third = (r.decision for r in records)
    assert [a.arm_id for a in source.arms()] == ["1", "3"]
    assert source.arms()[1].features == {"genre": "x"}
    assert (first.arm, first.arms, first.pmf, first.stage) == ("3", ("1", "3"), (0.5, 0.5), PROPENSITY_ONLY)
    assert second.pmf == (0.25, 0.75)
    assert first.context == {"age": 30.5, "city": "Wien"}
    assert second.context == {"city": "Graz"}
    assert (first.at, second.at) == (1714557600000000, 1714557601000000)
    assert first.unit_id == third.unit_id != second.unit_id
    assert "ann" not in str(records)
    assert [[reward.value for reward in r.rewards] for r in records] == [[1.0], [], [0.0]]
    assert records[0].rewards[0].kind == "click"


def test_columns_can_be_named_and_missing_ones_are_said(tmp_path):
    path = tmp_path / "log.parquet"
    TABLE.rename({"propensity_score": "how_likely"}).write_parquet(path)
    with pytest.raises(ValueError, match=r"no column for the propensity.*--column propensity=NAME.*how_likely"):
        open_source(path, unit_key="k")
    source = open_source(path, unit_key="k", columns={"propensity": "how_likely"})
    assert next(iter(source.records())).decision.propensity == 0.5
    with pytest.raises(ValueError, match="found no such column"):
        open_source(path, unit_key="k", columns={"propensity": "nope"})
    with pytest.raises(ValueError, match="found no such role"):
        open_source(path, unit_key="k", columns={"nope": "click"})


def test_one_probability_for_all_rows_can_be_said_instead_of_a_column(tmp_path):
    """An A/B test's log: nobody wrote down that its three arms were drawn evenly."""
    path = tmp_path / "log.csv"
    even = TABLE.drop("propensity_score").with_columns(item_id=pl.Series([3, 1, 2])).drop("arm.genre")
    even.write_csv(path)
    with pytest.raises(ValueError, match="--column propensity=1/3"):
        open_source(path, unit_key="k")
    source = open_source(path, unit_key="k", columns={"propensity": "1/3"})
    decisions = [record.decision for record in source.records()]
    assert [d.propensity for d in decisions] == pytest.approx([1 / 3] * 3)
    assert [d.pmf for d in decisions] == [pytest.approx([1 / 3] * 3)] * 3
    assert all("1/3" not in name for d in decisions for name in d.context), "it is no feature"
    assert sum("drawn with probability 1/3, as you say" in note for note in source.notes) == 1
    for wrong in ("3", "0", "-1/3", "1/0", "a third"):
        with pytest.raises(ValueError, match=r"found no such column.*such as 1/3"):
            open_source(path, unit_key="k", columns={"propensity": wrong})
    even.with_columns(pl.Series("0.5", [0.2, 0.3, 0.5])).write_csv(path)
    kept = open_source(path, unit_key="k", columns={"propensity": "0.5"})
    assert [r.decision.propensity for r in kept.records()] == [0.2, 0.3, 0.5], "a column of that name stays what it is"


@pytest.mark.parametrize("name", ["userId", "User ID", "user-id", " USER_ID"])
def test_roles_are_known_by_how_their_names_sound(tmp_path, name):
    path = tmp_path / "log.csv"
    TABLE.rename({"user_id": name, "item_id": "Item ID", "propensity_score": "propensityScore"}).write_csv(path)
    source = open_source(path, unit_key="k")
    decisions = [record.decision for record in source.records()]
    assert decisions[0].unit_id == decisions[2].unit_id != decisions[1].unit_id
    assert [(d.arm, d.propensity) for d in decisions] == [("3", 0.5), ("1", 0.25), ("3", 0.5)]
    assert decisions[0].context == {"age": 30.5, "city": "Wien"}


def test_whole_pmfs_candidates_and_pairs_of_a_table(tmp_path):
    path = tmp_path / "log.parquet"
    pl.DataFrame(
        {
            "arm": ["b", "b", "c"],
            "arms": [["a", "b"], ["b", "c"], ["a", "b"]],
            "pmf": [[0.3, 0.7], [0.6, 0.3], [0.5, 0.5]],
            "propensity": [0.7, 0.6, 0.5],
            "reward": [0.5, 1.0, 1.0],
            "context": ['{"x": 1}', '{"x": 2}', "{}"],
            "arm_context": ['[{"d": 1}, {"d": 2}]', "[]", "[]"],
            "at": [1_700_000_000, 1_700_000_001, 1_700_000_002],
        }
    ).write_parquet(path)
    source = TableSource(path, unit_key="k", columns={})
    (record,) = source.records()
    d = record.decision
    assert (d.arms, d.pmf, d.stage, d.context) == (("a", "b"), (0.3, 0.7), "", {"x": 1})
    assert d.arm_context == ({"d": 1}, {"d": 2})
    assert d.at == 1_700_000_000_000_000
    assert source.skipped == {"bad pmf": 1, "bad arm": 1}
    assert [a.arm_id for a in source.arms()] == ["a", "b", "c"]


def test_a_partition_of_our_own(ours, tmp_path):
    ours.write_parquet(tmp_path / "v0001.parquet")
    records = list(open_source(tmp_path / "v0001.parquet", unit_key="k").records())
    for record, row in zip(records, ours.iter_rows(named=True), strict=True):
        d, theirs = record.decision, Decision.from_row(row)
        assert (d.event_id, d.at, d.context, d.arms, d.pmf, d.arm, d.arm_context, d.stage) == (
            theirs.event_id,
            theirs.at,
            theirs.context,
            theirs.arms,
            theirs.pmf,
            theirs.arm,
            theirs.arm_context,
            "",
        )
        assert [reward.value for reward in record.rewards] == [row["reward"]]


def test_arm_features_must_be_the_arms(tmp_path):
    path = tmp_path / "log.parquet"
    TABLE.with_columns(pl.Series("arm.genre", ["x", "y", "z"])).write_parquet(path)
    with pytest.raises(ValueError, match=r"arm\.genre"):
        open_source(path, unit_key="k").arms()


def test_guesses(tmp_path):
    n = 100
    pl.DataFrame(
        {
            "arm": [f"a{i % 3}" for i in range(n)],
            "p": [1 / 3] * n,
            "reward": [0.0, 2.5] * 50,
            "age": [20.5 + i for i in range(n)],
            "level": [i % 4 for i in range(n)],
            "city": [f"c{i % 7}" for i in range(n)],
            "spend": [0.1] * 99 + [900.0],
            "email": [f"user{i}@example.org" for i in range(n)],
            "vec": [[float(i), 1.0] for i in range(n)],
            "seen": ["2024-05-01T10:00:00"] * 50 + ["2024-05-02T11:00:00"] * 50,
            "same": ["x"] * n,
            "odd name": [float(i * i) for i in range(n)],
        }
    ).write_parquet(tmp_path / "log.parquet")
    source = open_source(tmp_path / "log.parquet", unit_key="k")
    guess = guess_app(source)
    spec = spec_of(guess, tmp_path)
    assert {k: (f.type, f.transform) for k, f in spec.context.items()} == {
        "age": ("numeric", "standardise"),
        "level": ("categorical", "standardise"),
        "city": ("categorical", "standardise"),
        "spend": ("numeric", "log"),
        "vec": ("embedding", "standardise"),
        "seen": ("timestamp", "standardise"),
        "odd name": ("numeric", "standardise"),
    }
    assert spec.context["vec"].length == 2
    assert spec.arm.keys() == {"arm_id"}
    assert spec.reward.range == (0.0, 2.5)
    assert any("email: left out" in note and "identifier" in note for note in guess.notes)


def test_nothing_usable_is_said(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("arm,p,reward\na,0,1\n")
    with pytest.raises(ValueError, match=r"found no usable row.*bad propensity"):
        guess_app(open_source(path, unit_key="k"))
    (tmp_path / "log.xlsx").touch()
    with pytest.raises(ValueError, match="unknown kind"):
        open_source(tmp_path / "log.xlsx", unit_key="k")


def test_the_index_of_a_pandas_frame_is_no_feature(tmp_path):
    frame = pd.DataFrame({"arm": ["a", "b"], "propensity": 0.5, "reward": 1.0, "age": [30, 40]}, index=[7, 3])
    frame.to_parquet(tmp_path / "log.parquet")
    assert "__index_level_0__" in pl.read_parquet_schema(tmp_path / "log.parquet")
    source = open_source(tmp_path / "log.parquet", unit_key="k")
    assert [r.decision.context for r in source.records()] == [{"age": 30}, {"age": 40}]
    assert "column __index_level_0__ is left out: it is pandas' index" in source.notes
    assert source.names()["context"] == ["age"]
