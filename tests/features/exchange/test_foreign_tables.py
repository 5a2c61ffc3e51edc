"""Tables of others, as people write them: what stands in the file is what comes in, or a sentence says why not."""

import gzip

import orjson
import polars as pl
import pytest

from croupier.features.exchange.guess import guess_app
from croupier.features.exchange.sources import open_source
from croupier.features.ids import hash_unit
from croupier.features.schema import InvalidEvent


def table(tmp_path, text, name="log.csv"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return open_source(path, unit_key="k")


def decisions(source):
    found = [r.decision for r in source.records()]
    assert not source.skipped
    return found


def rewards(source):
    return [[reward.value for reward in r.rewards] for r in source.records()]


@pytest.mark.parametrize("first", [0, 1, 3])
def test_numbered_arms_stand_in_the_order_of_their_numbers(tmp_path, first):
    """Twelve arms: as text, 10 would stand before 2. Each row's own probability is the one that its arm had."""
    pmf = [(i + 1) / 78 for i in range(12)]
    rows = [{"arm": first + i, "propensity": pmf[i], "reward": 1, "pmf": pmf} for i in range(12)]
    pl.DataFrame(rows).write_parquet(tmp_path / "log.parquet")
    source = open_source(tmp_path / "log.parquet", unit_key="k")
    for d in decisions(source):
        assert d.arms == tuple(str(first + i) for i in range(12))
        assert d.pmf == pytest.approx(pmf)
        assert d.pmf[d.arms.index(d.arm)] == pytest.approx(d.propensity)


def test_even_probabilities_cannot_hide_a_wrong_order(tmp_path):
    """Where two arms are equally likely, no row check can see that their places were exchanged with others'."""
    pmf = [0.1] * 2 + [0.05] * 8 + [0.2, 0.2]
    rows = [{"arm": i, "propensity": pmf[i], "reward": 0, "pmf": orjson.dumps(pmf).decode()} for i in range(12)]
    pl.DataFrame(rows).write_csv(tmp_path / "log.csv")
    found = decisions(open_source(tmp_path / "log.csv", unit_key="k"))
    assert len(found) == 12
    assert all(dict(zip(d.arms, d.pmf, strict=True))["11"] == 0.2 for d in found)
    assert all(dict(zip(d.arms, d.pmf, strict=True))["1"] == 0.1 for d in found)


def test_arms_never_chosen_have_their_place(tmp_path):
    rows = [{"arm": i, "propensity": 0.25, "reward": 0, "pmf": [0.25] * 4} for i in (0, 3)]
    pl.DataFrame(rows).write_parquet(tmp_path / "log.parquet")
    assert decisions(open_source(tmp_path / "log.parquet", unit_key="k"))[0].arms == ("0", "1", "2", "3")


@pytest.mark.parametrize(("arms", "words"), [
    (["red", "blue"], "which probability is which arm's is not known"), (["2", "02"], "no distinct"),
    ([5, 9], "found 3 probabilities a row but 2 arms"),
])  # fmt: skip
def test_an_unknown_order_is_refused(tmp_path, arms, words):
    pmf = [0.5, 0.5] if isinstance(arms[0], str) else [0.5, 0.25, 0.25]
    pl.DataFrame({"arm": arms, "propensity": [0.5] * 2, "reward": [0] * 2, "pmf": [pmf] * 2}).write_parquet(
        tmp_path / "log.parquet"
    )
    with pytest.raises(ValueError, match=words):
        open_source(tmp_path / "log.parquet", unit_key="k")


@pytest.mark.parametrize("ending", ["csv", "csv.gz", "tsv"])
def test_ids_are_text(tmp_path, ending):
    """007 is not 7, and 1e5 is not 100000."""
    text = "arm,p,reward,event_id,user_id\n007,.5,1,1e5,01\n7,.5,0,100000,1\n007,.5,1,1e-5,1.0\n"
    text = text.replace(",", "\t") if ending == "tsv" else text
    source = table(tmp_path, gzip.compress(text.encode()) if ending == "csv.gz" else text, f"log.{ending}")
    found = decisions(source)
    assert [(d.arm, d.event_id) for d in found] == [("007", "1e5"), ("7", "100000"), ("007", "1e-5")]
    assert [d.unit_id for d in found] == [hash_unit("k", unit) for unit in ("01", "1", "1.0")]
    assert {arm.arm_id for arm in source.arms()} == {"007", "7"}


def test_an_id_of_zero_is_an_id(tmp_path):
    pl.DataFrame({"arm": [0, 1], "p": [0.5, 0.5], "reward": [1, 1], "id": [0, 1], "user": [0, 0]}).write_parquet(
        tmp_path / "log.parquet"
    )
    found = decisions(open_source(tmp_path / "log.parquet", unit_key="k"))
    assert [d.event_id for d in found] == ["0", "1"]
    assert [d.unit_id for d in found] == [hash_unit("k", "0")] * 2


def test_a_semicolon_table_with_decimal_commas(tmp_path):
    source = table(tmp_path, '\ufeffarm;p;reward;price;title\na;0,5;1;12,50;"x; y"\nb;0,25;0;1,5;z\n')
    assert [(d.arm, d.propensity, d.context) for d in decisions(source)] == [
        ("a", 0.5, {"price": 12.5, "title": "x; y"}),
        ("b", 0.25, {"price": 1.5, "title": "z"}),
    ]
    assert [note for note in source.notes if "separated" in note or "comma" in note] == [
        "columns are separated by ';'",
        "numbers are written with a decimal comma",
    ]


def test_a_semicolon_table_with_points(tmp_path):
    source = table(tmp_path, "arm;p;reward;tags\na;0.5;1;x,y\nb;0.5;0;z\n")
    assert [(d.propensity, d.context) for d in decisions(source)] == [(0.5, {"tags": "x,y"}), (0.5, {"tags": "z"})]


ROWS = [
    {"arm": "7", "p": 0.5, "reward": 1, "age": 27, "tags": ["a", "b"], "user": "ü"},
    {"arm": "8", "p": 0.5, "reward": None, "age": "28", "tags": [], "user": "ñ"},
]


@pytest.mark.parametrize("name", ["log.jsonl", "log.json", "log.ndjson"])
@pytest.mark.parametrize("array", [False, True])
def test_json_rows_as_pandas_writes_them(tmp_path, name, array):
    text = orjson.dumps(ROWS) if array else b"\n".join(map(orjson.dumps, ROWS))
    source = table(tmp_path, b"\xef\xbb\xbf" + text, name)
    assert [(d.arm, d.unit_id) for d in decisions(source)] == [("7", hash_unit("k", "ü")), ("8", hash_unit("k", "ñ"))]
    assert [d.context for d in decisions(source)] == [{"age": "27", "tags": ["a", "b"]}, {"age": "28"}]
    assert rewards(source) == [[1.0], []]


def test_pandas_json_of_columns_is_refused_by_name(tmp_path):
    with pytest.raises(ValueError, match=r"one JSON object of columns.*orient='records', lines=True"):
        table(tmp_path, orjson.dumps({"arm": {"0": "a"}, "p": {"0": 0.5}, "reward": {"0": 1}}), "log.json")


def test_a_line_that_is_no_json_is_counted(tmp_path):
    source = table(tmp_path, orjson.dumps(ROWS[0]) + b"\n{oops\n" + orjson.dumps(ROWS[1]), "log.jsonl")
    assert [r.decision.arm for r in source.records()] == ["7", "8"]
    assert source.skipped == {"bad arm": 1}


def test_feather(tmp_path):
    pl.DataFrame([row | {"age": 27} for row in ROWS]).write_ipc(tmp_path / "log.feather")
    first, second = decisions(open_source(tmp_path / "log.feather", unit_key="k"))
    assert (first.arm, first.context) == ("7", {"age": 27, "tags": ["a", "b"]})
    assert (second.arm, second.context) == ("8", {"age": 27})


def test_text_of_lists_is_lists(tmp_path):
    source = table(tmp_path, "arm,p,reward,v,w,note\na,.5,1,\"[1, 2.5]\",\"['x', 'y']\",[sic] ok\nb,.5,1,[],[],[sic]\n")
    assert [d.context for d in decisions(source)] == [
        {"v": [1, 2.5], "w": ["x", "y"], "note": "[sic] ok"},
        {"note": "[sic]"},
    ]


def test_a_leap_second_is_the_second_after_it(tmp_path):
    source = table(tmp_path, "arm,p,reward,at\na,.5,1,2016-12-31T23:59:60Z\nb,.5,1,2016-12-31T23:59:60.25+00:00\n")
    assert [d.at for d in decisions(source)] == [1483228800_000000, 1483228800_250000]


@pytest.mark.parametrize("nothing", [None, float("nan")])
def test_an_empty_reward_means_that_none_came(tmp_path, nothing):
    pl.DataFrame({"arm": ["a", "b", "b"], "p": [0.5] * 3, "reward": [nothing, 0.0, 1.0]}).write_parquet(
        tmp_path / "log.parquet"
    )
    source = open_source(tmp_path / "log.parquet", unit_key="k")
    assert rewards(source) == [[], [0.0], [1.0]]
    assert not source.skipped
    assert [note for note in source.notes if "empty" in note] == [
        (
            "column reward is empty in 1 of 3 rows: no reward came there, which counts as the declared default "
            "(reward.default in app.toml)"
        )
    ]
    assert "none came in 1, which counts as reward.default, 0" in "\n".join(guess_app(source).notes)


def test_invented_times_are_said(tmp_path):
    source = table(tmp_path, "arm,p,reward,at\na,.5,1,2024-05-01T10:00:00\nb,.5,1,\n")
    assert "1 of 2 rows have no time: they are dated in the year 2000, by their order" in source.notes


def test_a_candidate_listed_twice_is_named(tmp_path):
    source = table(tmp_path, 'arm,p,reward,arms\na,.5,1,"[""a"", ""shoe"", ""shoe""]"\na,.5,1,"[""a"", ""b""]"\n')
    assert len(list(source.records())) == 1
    assert source.skipped == {"candidate shoe is listed twice": 1}


def test_reasons_are_of_the_contract():
    from croupier.features.exchange.record import Repeated, reason

    assert issubclass(Repeated, InvalidEvent)
    assert reason(KeyError("p")) == "no p"


def test_na_is_no_reward_but_may_be_a_category(tmp_path):
    """As R writes it; NA is Namibia, too."""
    source = table(tmp_path, "arm,p,reward,country\na,.5,NA,NA\nb,.5,1,AT\na,.5,null,NA\n")
    assert [d.context["country"] for d in decisions(source)] == ["NA", "AT", "NA"]
    assert rewards(source) == [[], [1.0], []]


def test_a_blank_first_line_costs_no_role(tmp_path):
    assert [d.arm for d in decisions(table(tmp_path, "\narm,p,reward\n01,.5,1\n1,.5,0\n"))] == ["01", "1"]


def test_a_column_that_is_there_twice_is_named(tmp_path):
    with pytest.raises(ValueError, match="found column reward twice"):
        table(tmp_path, "arm,p,reward,reward\na,.5,1,2\nb,.5,1,2\n")


def test_rows_with_a_column_c_or_an_underscore_are_rows(tmp_path):
    rows = [{"arm": arm, "p": 0.5, "reward": 1, "c": i, "_id": f"m{i}"} for i, arm in enumerate("ab")]
    source = table(tmp_path, b"\n".join(map(orjson.dumps, rows)), "log.json")
    assert [d.context for d in decisions(source)] == [{"c": 0, "_id": "m0"}, {"c": 1, "_id": "m1"}]


def test_a_leap_second_in_json_rows(tmp_path):
    rows = [{"arm": arm, "p": 0.5, "reward": 1, "at": at} for arm, at in (("a", "2016-12-31T23:59:60Z"), ("b", None))]
    source = table(tmp_path, b"\n".join(map(orjson.dumps, rows)), "log.json")
    assert [d.at for d in decisions(source)] == [1483228800_000000, 946684801_000000]


def test_decimal_commas_beside_na(tmp_path):
    text = "arm;p;reward;price;size\na;0,5;NA;n/a;1,5 m\nb;0,5;0,25;27,5;2,5\na;0,5;1;30;3\n"
    source = table(tmp_path, text)
    assert rewards(source) == [[], [0.25], [1.0]]
    assert [d.context for d in decisions(source)] == [
        {"price": "n/a", "size": "1,5 m"},
        {"price": "27.5", "size": "2,5"},
        {"price": "30", "size": "3"},
    ]
    assert any(note.startswith("context.price: numbers from 27.5 to 30") for note in guess_app(source).notes)
