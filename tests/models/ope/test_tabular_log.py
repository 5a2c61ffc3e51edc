"""A user's own columns, streamed, give the estimates of the arrays they were written from; bad columns are named."""

import json
import re

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest

from croupier.models.ope import estimators as op
from croupier.models.ope.streaming import total
from croupier.models.ope.tabular_log import ColumnNames, TableLog

N, K = 3000, 4


@pytest.fixture
def columns():
    rng = np.random.default_rng(0)
    p, pi, q = rng.dirichlet(np.ones(K), N), rng.dirichlet(np.ones(K), N), rng.random((N, K))
    a = rng.integers(0, K, N)
    row = np.arange(N)
    return {"r": rng.random(N), "p": p[row, a], "pi": list(pi), "q": list(q), "a": a, "pi_a": pi[row, a]}, pi, q, a


def test_lists_over_arms_give_every_estimator(columns, tmp_path):
    table, pi, q, a = columns
    pq.write_table(pa.table(table), tmp_path / "log.parquet")
    log = TableLog.open(
        tmp_path / "log.parquet", ColumnNames(reward="r", propensity="p", target="pi", predicted="q", arm="a")
    )
    assert (log.rows, log.models_reward) == (N, True)
    row = np.arange(N)
    whole = op.Rounds(
        reward=table["r"],
        propensity=table["p"],
        target=pi[row, a],
        predicted=q[row, a],
        direct=(pi * q).sum(axis=1),
        thinning=np.ones(N),
    )
    found = total(log.chunks(rows=700)).estimates()
    for name in ("dm", "ips", "snips", "dr", "sndr"):
        assert found[name].mean == pytest.approx(getattr(op, name)(whole).mean(), rel=1e-12), name


def test_a_csv_with_one_target_column_gives_ips_and_snips(columns, tmp_path):
    table = {k: columns[0][k] for k in ("r", "p", "pi_a")}
    pacsv.write_csv(pa.table(table), tmp_path / "log.csv")
    log = TableLog.open(tmp_path / "log.csv", ColumnNames(reward="r", propensity="p", target="pi_a"))
    assert not log.models_reward
    w = table["pi_a"] / table["p"]
    found = total(log.chunks()).estimates()
    assert found["ips"].mean == pytest.approx((w * table["r"]).mean(), rel=1e-9)
    assert found["snips"].mean == pytest.approx((w @ table["r"]) / w.sum(), rel=1e-9)


@pytest.mark.parametrize(
    ("change", "names", "words"),
    [
        ({}, {"reward": "clicks"}, "found no column clicks, expected one of: r, p"),
        ({}, {"target": "pi"}, "name the logged arm's index by --arm"),
        ({"r": np.where(np.arange(N) == 5, np.nan, 1.0)}, {}, "column r: found an empty or infinite value in row 5"),
        ({"p": np.where(np.arange(N) == 7, 0.0, 0.5)}, {}, "propensity: found 0.0 in row 7"),
        ({"a": np.full(N, K)}, {"target": "pi", "arm": "a"}, "expected 0 to 3"),
        ({"r": ["x"] * N}, {}, "column r: found values that are no numbers"),
        ({"pi": [[0.2, 0.2, 0.2, 0.2]] * N}, {"target": "pi", "arm": "a"}, "sum of pi: found 0.8 in row 0, expected 1"),
        ({"pi": [[1.2, -0.2, 0, 0]] * N}, {"target": "pi", "arm": "a"}, "row 0, expected probabilities"),
        (
            {"pi": [[0.5, 0.5, 0, 0], [0.5, 0.5, 0]] + [[0.2, 0.2, 0.2, 0.2, 0.2]] + [[1, 0, 0, 0]] * (N - 3)},
            {"target": "pi", "arm": "a"},
            "length of the list in pi: found 3 in row 1, expected 4",
        ),
        ({"pi": [[0.5, None, 0.5, 0]] * N}, {"target": "pi", "arm": "a"}, "in row 0, expected finite numbers"),
        ({"pi": ["[1, 0"] * N}, {"target": "pi", "arm": "a"}, r"found '\[1, 0' in row 0, expected a list"),
        ({"a": np.full(N, 0.5)}, {"target": "pi", "arm": "a"}, "found 0.5 in row 0, expected the arm's index"),
        ({"pi_a": np.full(N, 1.5)}, {}, "pi_a: found .1.5. in row 0, expected probabilities"),
    ],
)
def test_what_cannot_be_used_is_named(columns, tmp_path, change, names, words):
    pq.write_table(pa.table(columns[0] | change), tmp_path / "log.parquet")
    wanted = ColumnNames(**({"reward": "r", "propensity": "p", "target": "pi_a"} | names))
    with pytest.raises(ValueError, match=words):
        total(TableLog.open(tmp_path / "log.parquet", wanted).chunks())


def test_a_target_of_two_digits_is_divided_by_its_sum_and_counted(columns, tmp_path):
    table, pi, _, a = columns
    written = np.round(pi, 2)
    pq.write_table(pa.table(table | {"pi": list(written)}), tmp_path / "log.parquet")
    log = TableLog.open(tmp_path / "log.parquet", ColumnNames(reward="r", propensity="p", target="pi", arm="a"))
    off = np.abs(written.sum(axis=1) - 1) > 1e-6 * K
    whole = written / np.where(off, written.sum(axis=1), 1.0)[:, None]
    ips = (whole[np.arange(N), a] / table["p"] * table["r"]).mean()
    for _ in range(2):  # each pass counts anew
        assert total(log.chunks(rows=700)).estimates()["ips"].mean == pytest.approx(ips, rel=1e-12)
        assert log.passed.rounded == off.sum() > N / 10


def test_rows_are_counted_from_the_start_of_the_file(columns, tmp_path):
    p = np.where(np.arange(N) == 2500, 0.0, 0.5)
    pq.write_table(pa.table(columns[0] | {"p": p}), tmp_path / "log.parquet")
    log = TableLog.open(tmp_path / "log.parquet", ColumnNames(reward="r", propensity="p", target="pi_a"))
    with pytest.raises(ValueError, match=r"found 0\.0 in row 2500"):
        total(log.chunks(rows=700))


def test_lists_may_be_json_text_in_a_csv(columns, tmp_path):
    table = columns[0]
    text = {k: [json.dumps(list(map(float, v))) for v in table[k]] for k in ("pi", "q")}
    pacsv.write_csv(pa.table(table | text), tmp_path / "log.csv")
    pq.write_table(pa.table(table), tmp_path / "log.parquet")
    names = ColumnNames(reward="r", propensity="p", target="pi", predicted="q", arm="a")
    ours, same = (
        total(TableLog.open(tmp_path / f"log{end}", names).chunks()).estimates() for end in (".csv", ".parquet")
    )
    assert {k: v.mean for k, v in ours.items()} == pytest.approx({k: v.mean for k, v in same.items()})


def test_a_file_that_is_no_table(tmp_path):
    (tmp_path / "x.parquet").write_text("hello")
    with pytest.raises(ValueError, match="found no parquet table in it"):
        TableLog.open(tmp_path / "x.parquet", ColumnNames())


def test_other_files_are_refused(tmp_path):
    with pytest.raises(ValueError, match="no such file"):
        TableLog.open(tmp_path / "x.csv", ColumnNames())
    (tmp_path / "x.txt").write_text("a")
    with pytest.raises(ValueError, match=r"expected \.parquet or \.csv"):
        TableLog.open(tmp_path / "x.txt", ColumnNames())


@pytest.mark.parametrize(("pi", "q", "message"), [
    ("[0.5, 0.5]", "[1, 2, 3]", "column q: found lists of 3 near row 0, expected 2 numbers"),
    ("[]", "[]", "length of the list in pi: found 0 in row 0"),
])  # fmt: skip
def test_lists_that_do_not_fit_are_named(tmp_path, pi, q, message):
    (tmp_path / "log.csv").write_text("p,r,pi,q,a\n" + f'0.5,1,"{pi}","{q}",0\n' * 3)
    log = TableLog.open(
        tmp_path / "log.csv", ColumnNames(reward="r", propensity="p", target="pi", predicted="q", arm="a")
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        list(log.chunks())


def test_a_column_there_twice_is_said(tmp_path):
    (tmp_path / "log.csv").write_text("p,r,r\n0.5,1,0\n")
    with pytest.raises(ValueError, match=r"found no csv table in it .* there twice"):
        TableLog.open(tmp_path / "log.csv", ColumnNames(reward="r", propensity="p"))
