"""Candidates between separators, and probabilities in an object of arms, are the lists that they mean."""

import json

import polars as pl
import pytest

from croupier.features.exchange.sources import open_source
from croupier.features.exchange.tables.tabular import TableSource

P = {"red": 0.5, "blue": 0.3, "green": 0.2}
ARMS = ["red", "blue", "green", "red"]
ROWS = {"arm": ARMS, "propensity": [P[arm] for arm in ARMS], "reward": [1.0, 0.0, 1.0, 0.0], "age": [1, 2, 3, 4]}


def decisions(source):
    found = [r.decision for r in source.records()]
    assert not source.skipped
    return found


@pytest.mark.parametrize("mark", ["|", ";", ","])
def test_candidates_between_separators(tmp_path, mark):
    cells = [mark.join(P), f"blue {mark} green", mark.join(P), "red"]
    path = tmp_path / "log.csv"
    pl.DataFrame(ROWS | {"propensity": [0.5, 0.3, 0.2, 1.0], "candidates": cells}).write_csv(path)
    source = open_source(path, unit_key="k")
    found = decisions(source)
    assert [d.arms for d in found] == [("red", "blue", "green"), ("blue", "green"), ("red", "blue", "green"), ("red",)]
    assert [d.propensity for d in found] == [0.5, 0.3, 0.2, 1.0]
    assert found[1].pmf == pytest.approx((0.3, 0.7))
    assert f"column candidates: arms between {mark!r}" in source.notes
    assert {arm.arm_id for arm in source.arms()} == set(P)


def test_a_column_without_the_rows_own_arms_is_no_list_of_them(tmp_path):
    frame = pl.DataFrame(ROWS | {"candidates": ["x|y", "red|y", "x", "z|w"]})
    source = TableSource(tmp_path / "t", unit_key="k", columns={}, table=frame)
    assert list(source.records()) == []
    assert source.skipped.total() == 4


@pytest.mark.parametrize("kind", ["parquet", "jsonl", "csv"])
def test_probabilities_in_an_object_of_arms(tmp_path, kind):
    pmfs = [P, {"blue": 0.6, "green": 0.4}, P, {"red": 1.0}]
    frame = pl.DataFrame(ROWS).drop("propensity").with_columns(pmf=pl.Series([json.dumps(pmf) for pmf in pmfs]))
    path = tmp_path / f"log.{kind}"
    if kind == "csv":
        frame.write_csv(path)
    elif kind == "jsonl":
        path.write_text(
            "\n".join(json.dumps(row | {"pmf": pmf}) for row, pmf in zip(frame.to_dicts(), pmfs, strict=True))
        )
    else:
        frame.with_columns(pmf=pl.Series(pmfs, dtype=pl.Struct(dict.fromkeys(P, pl.Float64)))).write_parquet(path)
    source = open_source(path, unit_key="k")
    found = decisions(source)
    assert [dict(zip(d.arms, d.pmf, strict=True)) for d in found] == pmfs
    assert [d.propensity for d in found] == [0.5, 0.6, 0.2, 1.0]
    assert {d.stage for d in found} == {""}, "the whole pmf is known"
    assert {tuple(d.context) for d in found} == {("age",)}


def test_the_objects_arms_take_the_place_of_a_column_of_them(tmp_path):
    frame = pl.DataFrame(ROWS | {"arms": [["green", "blue", "red"]] * 4, "pmf": [json.dumps(P)] * 4})
    found = decisions(TableSource(tmp_path / "t", unit_key="k", columns={}, table=frame))
    assert {d.arms for d in found} == {("red", "blue", "green")}
    assert {d.pmf for d in found} == {(0.5, 0.3, 0.2)}
    assert {tuple(d.context) for d in found} == {("age",)}
