"""Logs of others, broken row by row: a row that cannot be used is counted by its reason; the others come in."""

from datetime import timedelta
from decimal import Decimal

import orjson
import polars as pl
import pytest

from croupier.features import build
from croupier.features.exchange.guess import guess_app
from croupier.features.exchange.importing import import_log
from croupier.features.exchange.sources import open_source
from croupier.features.ids import hash_unit
from croupier.features.spec import AppSpec
from croupier.features.workspace import Workspace

NO_MULTI = "no c._multi (an observation, or another problem type)"


def line(**fields):
    """A sound DSJSON line, some of its fields replaced."""
    arms = [{"_tag": "a"}, {"_tag": "b"}]
    return {
        "_label_cost": -1.0,
        "_label_probability": 0.5,
        "_labelIndex": 1,
        "EventId": "e",
        "Timestamp": "2026-01-01T00:00:00Z",
        "a": [2, 1],
        "p": [0.5, 0.5],
        "c": {"Context": {"x": 1}, "_multi": arms},
        **fields,
    }


def source_of(tmp_path, *lines):
    path = tmp_path / "log.dsjson"
    path.write_bytes(b"".join(x if isinstance(x, bytes) else orjson.dumps(x) + b"\n" for x in lines))
    return open_source(path, unit_key="k")


def deep(levels):
    return orjson.dumps(line()).replace(b'{"x":1}', b'{"a":' * levels + b"1" + b"}" * levels) + b"\n"


@pytest.mark.parametrize(("broken", "reason"), [
    (line(c={"_multi": 5}), NO_MULTI), (line(c={"_multi": [1, 2]}), NO_MULTI), (line(c={"_multi": {"a": 1}}), NO_MULTI),
    (line(c={"_multi": [{"_tag": "a", "Pair": 3}, {"_tag": "b"}]}), "bad Pair"),
    (line(c={"Context": {"v": [{"a": 1}, 2]}, "_multi": [{"_tag": "a"}, {"_tag": "b"}]}), "bad v"),
    (deep(990), "bad value"), (line(Croupier="x"), "bad Croupier"), (line(Croupier={"policy": 5}), "bad policy"),
    (line(Croupier={"stage": ["s"]}), "bad stage"), (line(Croupier={"role": "king"}), "bad role"),
    (line(_labelIndex=-1), "bad _labelIndex"), (line(_labelIndex=2), "bad _labelIndex"),
    (line(pdrop=1.0), "bad pass_probability"), (line(pdrop=-0.5), "bad pass_probability"),
    (line(Timestamp="0001-01-01T00:00:00Z"), "bad at"), (line(Timestamp="9999-12-31T23:59:59Z"), "bad at"),
])  # fmt: skip
def test_a_broken_line_is_counted_and_the_next_one_read(tmp_path, broken, reason):
    source = source_of(tmp_path, broken, line(EventId="sound"))
    assert [r.decision.event_id for r in source.records()] == ["sound"]
    assert source.skipped == {reason: 1}
    assert [arm.arm_id for arm in source.arms()] == ["a", "b"]
    assert guess_app(source).toml


def test_no_raw_unit_id_enters_as_it_is(tmp_path):
    mine = hash_unit("k", "u7")
    source = source_of(
        tmp_path,
        *(line(EventId=f"e{i}", Croupier={"unit_id": unit}) for i, unit in enumerate([mine, "alice@example.org", 5])),
    )
    assert [r.decision.unit_id for r in source.records()] == [
        mine,
        hash_unit("k", "alice@example.org"),
        hash_unit("k", "5"),
    ]


def table_of(tmp_path, **columns):
    path = tmp_path / "log.parquet"
    pl.DataFrame({"arm": ["a", "b"], "propensity": [0.5, 0.5], "reward": [1.0, 0.0]} | columns).write_parquet(path)
    return open_source(path, unit_key="k")


@pytest.mark.parametrize(("column", "values", "expected"), [
    ("at", [float("inf"), 1767225600.0], 1767225600_000000), ("at", [-5.0, 1767225600.0], 1767225600_000000),
    ("arms", ["{oops", '["a","b"]'], 946684801_000000),
])  # fmt: skip
def test_a_broken_row_is_counted_and_the_next_one_read(tmp_path, column, values, expected):
    source = table_of(tmp_path, **{column: values})
    assert [(r.decision.arm, r.decision.at) for r in source.records()] == [("b", expected)]
    assert source.skipped.total() == 1
    assert [arm.arm_id for arm in source.arms()] == ["a", "b"]


def test_columns_of_every_type_are_told_json_or_left_out(tmp_path, monkeypatch):
    """What the import appends, the shipper can ship."""
    source = table_of(
        tmp_path,
        price=[Decimal("1.50"), Decimal("2.25")],
        big=pl.Series([2**70, 1], dtype=pl.Int128),
        raw=[b"\xff", b""],
        took=[timedelta(seconds=1)] * 2,
    )
    assert [r.decision.context for r in source.records()] == [{"price": 1.5, "big": 2.0**70}, {"price": 2.25, "big": 1}]
    assert [note for note in source.notes if "left out" in note] == [
        "column raw is left out: Binary",
        "column took is left out: Duration(time_unit='us')",
    ]
    monkeypatch.setenv("CROUPIER_VAR", str(tmp_path / "var"))
    w = Workspace.open("shop")
    spec = AppSpec.model_validate(
        {"context": {name: {"type": "numeric"} for name in ("price", "big")}, "reward": {"kinds": {"reward": {}}}}
    )
    spool = w.spool()
    assert import_log(spool, source, spec).decisions == 2
    spool.close()
    assert build.collect("shop")["decisions"] == 2


def test_a_gz_that_ends_early_is_named(tmp_path):
    (tmp_path / "log.csv.gz").write_bytes(b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03")
    with pytest.raises(ValueError, match=r"log\.csv\.gz: found a gzip file that cannot be unpacked"):
        open_source(tmp_path / "log.csv.gz", unit_key="k")
