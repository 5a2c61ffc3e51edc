"""Files that are not what their name says, or not as we would write them: read to the right values, or refused by name."""

import gzip

import polars as pl
import pytest
from typer.testing import CliRunner

from croupier.features.exchange.sources import open_source
from croupier.serving.cli import app

HEAD = "arm,propensity,reward,city\n"
ROWS = "".join(f"{'ab'[k % 2]},0.5,{k % 3 % 2},{'Köln' if k % 2 else 'Évry €'}\n" for k in range(30))
CITIES = {"Köln", "Évry €"}


def write(tmp_path, raw, name="log.csv"):
    path = tmp_path / name
    path.write_bytes(raw if isinstance(raw, bytes) else raw.encode())
    return path


def read(path):
    source = open_source(path, unit_key="k")
    records = list(source.records())
    assert not source.skipped
    return source.notes, records


def zipped(raw):
    """Without the time in the header: a test must have the same name in every process."""
    return gzip.compress(raw, mtime=0)


SAME = [
    (HEAD + ROWS).encode(), (HEAD + ROWS).encode("utf-8-sig"), (HEAD + ROWS).encode("cp1252"), (HEAD + ROWS).encode("utf-16"),
    b"\xfe\xff" + (HEAD + ROWS).encode("utf-16-be"), (HEAD + ROWS).encode("utf-16-le"), zipped((HEAD + ROWS).encode()),
    (HEAD + ROWS).replace("\n", "\r").encode(), (HEAD + ROWS).replace("\n", "\r\n").encode(),
    (HEAD + ROWS).replace("\n", "\n\n").encode(),
]  # fmt: skip
NOTES = ["", "", "Windows-1252", "utf-16", "utf-16", "utf-16-le", "packed with gzip", "CR alone", "", ""]


@pytest.mark.parametrize(("raw", "note"), list(zip(SAME, NOTES, strict=True)))
def test_however_it_was_saved_it_is_the_same_table(tmp_path, raw, note):
    notes, records = read(write(tmp_path, raw))
    assert len(records) == 30
    assert {r.decision.context["city"] for r in records} == CITIES
    assert sum(r.rewards[0].value for r in records) == 10
    assert [bool(note) and note in n for n in notes].count(True) == bool(note)


@pytest.mark.parametrize(("raw", "said"), [
    (b"", "found an empty file (0 bytes)"), (b"PK\x03\x04" + b"\0" * 60, "found a workbook of Excel"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1", "found a workbook of an old Excel"), (b"PAR1" + b"\0" * 60, "call it .parquet"),
    (b"%PDF-1.7\n", "found a PDF"), (zipped(ROWS.encode())[:40], "cannot be unpacked"),
    (zipped(b""), "an empty file inside the gzip"), ((HEAD + ROWS + "a,0.5,1,\0\n").encode(), "found a NUL byte in line 32"),
    ((HEAD + ROWS).encode() + b"a,0.5,1,\x81\x8d\n", "no UTF-8 and no cp1252"),
    (HEAD + ROWS + "a,0.5,1\n", "line 32: found 3 fields, expected 4"), (HEAD + "a,0.5,1,x,y\n" + ROWS, "line 2: found 5 fields"),
    (HEAD + "a,0.5,1,Wien, 1010\n" * 3 + ROWS, "(3 such rows)"), (HEAD, "no usable row"),
    (HEAD + "a,0.5,1,x\n" * 9 + "a,0,1,x\n" * 9, "found propensities of 0 in 9 of 18 rows"),
    (HEAD + "a,2,1,x\n" * 9, "if they are weights 1/p, write 1 / weight"), (HEAD + "a,50,1,x\n" * 9, "if they are per cent"),
])  # fmt: skip
def test_what_cannot_be_read_is_named_by_every_command(tmp_path, monkeypatch, raw, said):
    monkeypatch.setenv("CROUPIER_VAR", str(tmp_path / "var"))
    path = write(tmp_path, raw)
    for words in (["init", str(path)], ["ope", str(path), "--policy", "uniform"]):
        done = CliRunner().invoke(app, words)
        assert (done.exit_code, done.stdout) == (1, ""), done.output
        assert said in done.stderr, done.stderr
        assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("ending", ["json", "dsjson", "jsonl"])
@pytest.mark.parametrize(("raw", "said"), [
    (b"", "empty file"), (zipped(b'{"a": 1}\n'), "found a gzip file; unpack it first"),
    ('{"arm": "a"}\n'.encode("utf-16-le"), "UTF-16"), (b"PK\x03\x04", "workbook of Excel"),
])  # fmt: skip
def test_and_so_is_json(tmp_path, ending, raw, said):
    with pytest.raises(ValueError, match=said):
        open_source(write(tmp_path, raw, f"log.{ending}"), unit_key="k")


def test_a_folder_is_called_one(tmp_path):
    (tmp_path / "log.csv").mkdir()
    with pytest.raises(ValueError, match="found a folder, expected the file of a log in it"):
        open_source(tmp_path / "log.csv", unit_key="k")


def test_quoted_line_ends_stay_inside_their_cell(tmp_path):
    text = "arm,propensity,reward,note\n" + 'a,0.5,1,"first\nsecond, third"\n' * 5 + 'b,0.5,0,"x"\n' * 5
    _, records = read(write(tmp_path, text))
    assert [r.decision.context["note"] for r in records] == ["first\nsecond, third"] * 5 + ["x"] * 5


def test_decimal_commas_inside_a_file_of_commas(tmp_path):
    text = "arm,propensity,reward,price\n" + 'a,"0,25","0,125","1,5"\n' * 4 + 'b,"0,75","12,5","2,25"\n' * 4
    notes, records = read(write(tmp_path, text))
    assert [(r.decision.propensity, r.rewards[0].value) for r in records] == [(0.25, 0.125)] * 4 + [(0.75, 12.5)] * 4
    assert sum("decimal comma" in note for note in notes) == 2


def test_thousands_are_grouped_by_commas_or_by_points(tmp_path):
    english = "arm,propensity,reward\n" + 'a,0.5,"1,234.50"\nb,0.5,"2,000"\n' * 5
    german = "arm;propensity;reward;price\n" + "a;0,5;1.234,50;9.999,5\nb;0,5;n/a;12\n" * 5
    assert {r.rewards[0].value for r in read(write(tmp_path, english))[1]} == {1234.5, 2000.0}
    _, records = read(write(tmp_path, german, "german.csv"))
    assert {reward.value for r in records for reward in r.rewards} == {1234.5}
    assert {float(r.decision.context["price"]) for r in records} == {9999.5, 12.0}


def test_per_cent_and_times_without_a_zone_are_said(tmp_path):
    text = "arm,propensity,reward,time\n" + "a,25 %,1,2026-03-01 10:00:00\nb,75 %,0,2026-03-01 10:00:01\n" * 5
    notes, records = read(write(tmp_path, text))
    assert [r.decision.propensity for r in records[:2]] == [0.25, 0.75]
    assert records[0].decision.at == 1_772_359_200_000_000
    assert any("per cent" in n for n in notes)
    assert any("taken for UTC" in n for n in notes)


@pytest.mark.parametrize("ids", [["Red", "red "], ["Red", "RED"]])
def test_arms_that_differ_in_case_are_two_in_every_command_and_blanks_are_none(tmp_path, monkeypatch, ids):
    monkeypatch.setenv("CROUPIER_VAR", str(tmp_path / "var"))
    rows = "".join(f"{arm},0.5,{k % 2},t{k % 4}\n" for k in range(20) for arm in (*ids, f" {ids[0]} "))
    path = write(tmp_path, "arm,propensity,reward,x\n" + rows)
    twins = " and ".join(map(repr, sorted(arm.strip() for arm in ids)))
    for words in (["init", str(path)], ["import", str(path)], ["ope", str(path), "--policy", f"arm:{ids[0]}"]):
        done = CliRunner().invoke(app, words)
        assert done.exit_code == 0, done.output
        assert f"{twins} are different arms" in " ".join(done.stdout.split()), done.stdout
    wrong = CliRunner().invoke(app, ["ope", str(path), "--policy", "arm:rad"])
    assert (wrong.exit_code, "did you mean arm:" in wrong.stderr) == (1, True)


def test_a_parquet_of_ids_with_blanks_is_read_by_the_same_rule(tmp_path):
    path = tmp_path / "log.parquet"
    frame = {"arm": ["a ", " b"], "propensity": [0.5, 0.5], "reward": [1.0, 0.0], "arms": [["a", "b "], ["b", " a"]]}
    pl.DataFrame(frame).write_parquet(path)
    _, records = read(path)
    assert [(r.decision.arm, r.decision.arms) for r in records] == [("a", ("a", "b")), ("b", ("b", "a"))]
