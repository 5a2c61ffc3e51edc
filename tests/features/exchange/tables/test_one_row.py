"""Tables that have several rows a decision: a row a candidate is refused, an impression and its click are one."""

import re

import polars as pl
import pytest

from croupier.features.exchange.guess import guess_app
from croupier.features.exchange.sources import open_source

N = 60


def source_of(tmp_path, frame, **columns):
    path = tmp_path / "log.csv"
    frame.write_csv(path)
    return open_source(path, unit_key="k", columns=columns)


def candidates(flag):
    rows = [(i, arm, int(arm == i % 3), 1 / 3, int(arm == i % 3 and i % 2)) for i in range(N) for arm in range(3)]
    return pl.DataFrame(rows, schema=["event_id", "arm", flag, "propensity", "reward"], orient="row")


@pytest.mark.parametrize("flag", ["shown", "was_shown"])
def test_a_row_a_candidate_is_refused_and_its_flag_is_named(tmp_path, flag):
    for frame in (candidates(flag), candidates(flag).drop("event_id")):
        with pytest.raises(
            ValueError, match=f"found {flag} = 0 in 120 rows, expected one row a decision.*where {flag} is 1"
        ):
            source_of(tmp_path, frame)
    kept = source_of(tmp_path, candidates(flag).filter(pl.col(flag) == 1))
    assert [r.decision.arm for r in kept.records()] == [str(i % 3) for i in range(N)]


def test_without_a_flag_the_events_are_counted(tmp_path):
    frame = candidates("shown").drop("shown")
    with pytest.raises(ValueError, match=r"several arms in the rows of 60 events.*--column event_id=NAME"):
        source_of(tmp_path, frame)
    few = pl.concat([frame.filter(pl.col("arm") == 0), frame.filter((pl.col("arm") == 1) & (pl.col("event_id") < 5))])
    source = source_of(tmp_path, few)
    assert len(list(source.records())) == N + 5, "a few are slips, and are counted where they are read"


def test_an_impression_and_its_click_are_one_event_with_the_clicks_reward(tmp_path):
    shown = pl.DataFrame({"event_id": range(N), "arm": ["a", "b"] * 30, "propensity": 0.5, "click": 0})
    clicked = shown.filter(pl.col("event_id") % 2 == 0).with_columns(click=pl.lit(1))
    source = source_of(tmp_path, pl.concat([shown, clicked]))
    worth = {}
    for record in source.records():
        worth.setdefault(record.decision.event_id, set()).update(r.value for r in record.rewards)
    assert worth == {str(i): {1.0 - i % 2} for i in range(N)}
    assert sum("30 events have a row with reward 0" in note for note in source.notes) == 1
    slip = shown.with_columns(click=pl.when(pl.col("event_id") == 1).then(pl.lit("oops")).otherwise(pl.lit("0")))
    source = source_of(tmp_path, pl.concat([slip, clicked.cast({"click": pl.String})]))
    assert len({r.decision.event_id for r in source.records()}) == N - 1
    assert source.skipped == {"bad reward": 1}, "what is no number is counted, and not taken for no reward"


def test_rewards_of_several_values_stay_as_they_are(tmp_path):
    shown = pl.DataFrame({"event_id": range(N), "arm": ["a", "b"] * 30, "propensity": 0.5, "bought": 0})
    source = source_of(
        tmp_path, pl.concat([shown, *(shown.with_columns(bought=pl.lit(v)) for v in (3, 7))]), reward="bought"
    )
    assert sorted({r.value for record in source.records() for r in record.rewards}) == [0.0, 3.0, 7.0]


def test_an_object_called_user_has_features_and_is_no_id(tmp_path):
    path = tmp_path / "log.jsonl"
    rows = [
        f'{{"user":{{"device":"{d}"}},"arm":"{a}","propensity":0.5,"reward":1}}'
        for d, a in (("phone", "a"), ("desk", "b")) * 5
    ]
    path.write_text("\n".join(rows))
    source = open_source(path, unit_key="k")
    decisions = [r.decision for r in source.records()]
    assert "unit_id" not in source.columns
    assert len({d.unit_id for d in decisions}) == 10
    assert "user_device" in guess_app(source).toml or "user.device" in guess_app(source).toml


@pytest.mark.parametrize("zone", [" UTC", " GMT"])
def test_times_as_bigquery_writes_them(tmp_path, zone):
    frame = pl.DataFrame(
        {
            "ts": [f"2026-11-29 10:0{i}:00{zone}" for i in range(5)],
            "arm": ["a", "b", "a", "b", "a"],
            "propensity": 0.5,
            "reward": 1,
        }
    )
    source = source_of(tmp_path, frame)
    assert next(iter(source.records())).decision.at == 1_795_946_400_000_000
    assert not any("name no zone" in note for note in source.notes)


def test_ids_that_pandas_made_floats_are_whole_numbers(tmp_path):
    path = tmp_path / "log.parquet"
    pl.DataFrame(
        {"arm": [0.0, 1.0, None], "candidates": [[0, 1, 2]] * 3, "propensity": [0.5] * 3, "reward": [1, 0, 1]}
    ).write_parquet(path)
    source = open_source(path, unit_key="k")
    assert [r.decision.arm for r in source.records()] == ["0", "1"]
    assert source.skipped == {"bad arm": 1}
    pl.read_parquet(path).with_columns(pl.col("candidates").cast(pl.List(pl.Float64))).write_parquet(path)
    assert [r.decision.arm for r in open_source(path, unit_key="k").records()] == ["0.0", "1.0"], (
        "as the candidates are"
    )


def test_what_cannot_be_read_at_all_says_what_was_expected(tmp_path):
    frame = pl.DataFrame({"arm": ["a"], "candidates": ["a or b"], "propensity": [0.5], "reward": [1]})
    said = re.escape('found no usable row (1 × bad arms: expected a list of candidates as JSON, such as ["a", "b"]')
    with pytest.raises(ValueError, match=said):
        guess_app(source_of(tmp_path, frame))
