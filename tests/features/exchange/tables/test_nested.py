"""Logs whose rows are objects in objects: a column inside one is named by its path."""

import json

import polars as pl
import pytest

from croupier.features.exchange.sources import open_source
from croupier.features.exchange.tables.nested import names_inside, opened
from croupier.features.exchange.tables.tabular import TableSource

ROWS = [
    {"id": f"d{i}", "user": {"id": f"u{i}", "home": {"country": "de"}}, "decision": {"arm": "ab"[i % 2], "how": {"prob": 0.5}},
     "outcome": {"reward": i % 3}, "device": "tv"}
    for i in range(6)
]  # fmt: skip
COLUMNS = {"arm": "decision.arm", "propensity": "decision.how.prob", "reward": "outcome.reward", "unit_id": "user.id"}


def written(tmp_path, kind):
    path = tmp_path / f"log.{kind}"
    if kind == "parquet":
        pl.DataFrame(ROWS).write_parquet(path)
    elif kind == "json":
        path.write_text(json.dumps(ROWS))
    else:
        path.write_text("\n".join(map(json.dumps, ROWS)))
    return path


@pytest.mark.parametrize("kind", ["parquet", "json", "jsonl"])
def test_columns_inside_objects_are_named_by_their_path(tmp_path, kind):
    source = open_source(written(tmp_path, kind), unit_key="k", columns=COLUMNS)
    records = list(source.records())
    assert not source.skipped
    assert [r.decision.arm for r in records] == list("ababab")
    assert {r.decision.propensity for r in records} == {0.5}
    assert [r.rewards[0].value for r in records] == [0, 1, 2, 0, 1, 2]
    assert len({r.decision.unit_id for r in records}) == 6
    assert records[0].decision.context == {"device": "tv", "user.home": {"country": "de"}}, "the rest stays"


@pytest.mark.parametrize("kind", ["parquet", "json", "jsonl"])
def test_whoever_names_none_is_told_what_there_is(tmp_path, kind):
    with pytest.raises(ValueError, match=r"found no column for the arm.*the columns are id.*decision\.arm"):
        open_source(written(tmp_path, kind), unit_key="k", columns={"reward": "outcome.reward"})


def test_a_name_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"arm=decision\.armm: found no such column, expected .*decision\.arm"):
        open_source(written(tmp_path, "jsonl"), unit_key="k", columns=COLUMNS | {"arm": "decision.armm"})


def test_a_column_with_a_dot_in_its_name_stays_it():
    frame = pl.DataFrame({"a.b": [1], "a": [{"b": 2, "c": 3}]})
    assert opened(frame, ["a.b"]).equals(frame)
    assert opened(frame, ["a.c"]).to_dict(as_series=False) == {"a.b": [1], "a.c": [3]}
    assert names_inside(frame) == ["a.b", "a.c"]


def test_a_cell_that_is_no_object_has_no_entries(tmp_path):
    cells = ['{"arm": "x", "n": 1}', None, "{broken", "[1]", '{"arm": "y"}']
    found = opened(pl.DataFrame({"d": cells}), ["d.arm"])
    assert found.to_dict(as_series=False) == {"d.arm": ["x", None, None, None, "y"], "d.n": [1, None, None, None, None]}


def test_an_object_of_columns_is_still_told_from_rows(tmp_path):
    path = tmp_path / "c.json"
    path.write_text(json.dumps({name: {"0": 1, "1": 2} for name in ("arm", "propensity", "reward")}))
    with pytest.raises(ValueError, match="one JSON object of columns"):
        open_source(path, unit_key="k", columns={})


def test_a_frame_of_ones_own_is_read_alike():
    source = TableSource("df", unit_key="k", columns=COLUMNS, table=pl.DataFrame(ROWS))
    assert [r.decision.arm for r in source.records()] == list("ababab")
