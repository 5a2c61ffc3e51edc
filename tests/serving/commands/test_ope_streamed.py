"""`croupier ope --target-pmf`: a table that brings its own policy, read in pieces."""

import json

import polars as pl
import pytest
from typer.testing import CliRunner

from croupier.serving.cli import app


def run(*arguments):
    return CliRunner().invoke(app, ["ope", *map(str, arguments)])


def streamed(tmp_path, frame, *arguments):
    frame.write_parquet(tmp_path / "log.parquet")
    done = run(tmp_path / "log.parquet", "--target-pmf", "pi", *arguments, "--json", tmp_path / "o")
    return done, json.loads((tmp_path / "o").read_text()) if done.exit_code == 0 else {}


def test_a_streamed_table_counts_an_event_once(tmp_path):
    rows = [("e0", 1.0)] * 9 + [(f"e{i}", 0.0) for i in range(1, 10)]
    frame = pl.DataFrame(
        {"event_id": [e for e, _ in rows], "reward": [r for _, r in rows], "propensity": [0.5] * 18, "pi": [0.5] * 18}
    )
    done, found = streamed(tmp_path, frame)
    assert done.exit_code == 0, done.output
    assert (found["rows"], found["repeats"]) == (10, 8)
    assert found["estimates"]["ips"]["value"] == pytest.approx(0.1)
    done, _ = streamed(tmp_path, frame.with_columns(reward=pl.Series([1.0] * 8 + [0.0] + [0.0] * 9)))
    assert done.exit_code == 1
    assert "found 'e0' again in row 8, with other values than before" in " ".join(done.output.split())
    done, found = streamed(tmp_path, frame.rename({"event_id": "request"}))
    assert (found["rows"], {u["name"] for u in found["unchecked"]} >= {"repeats"}) == (18, True)
    done, found = streamed(tmp_path, frame.rename({"event_id": "request"}), "--event", "request")
    assert (found["rows"], found["repeats"]) == (10, 8)


def test_a_streamed_policy_is_judged_where_it_could_choose(tmp_path):
    n = 400
    pi = [[0.0, 0.0] if i % 4 else [1.0, 0.0] for i in range(n)]
    frame = pl.DataFrame(
        {"reward": [1.0, 0.0] * (n // 2), "propensity": [0.5] * n, "pi": pi, "arm": [(i // 4) % 2 for i in range(n)]}
    )
    done, found = streamed(tmp_path, frame, "--arm", "arm")
    assert done.exit_code == 0, done.output
    assert found["offered"] == {"rows": 100, "of": 400, "share": 0.25}
    assert found["estimates"]["ips"]["value"] == pytest.approx(
        1.0
    )  # reward 1 in every fourth row, weight 2 in half of them
    assert "could be chosen in 100 of 400 rows (25.0%)" in " ".join(done.output.split())
