"""`croupier.frames`: pandas, Polars and Arrow tables give what `croupier ope`, `init` and `import` give on the same file."""

import json

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from croupier import frames
from croupier.features.workspace import Workspace
from croupier.serving.cli import app

ROLES = {"arm": "item", "reward": "click", "propensity": "p"}
OPTIONS = [word for role, column in ROLES.items() for word in ("--column", f"{role}={column}")]
KINDS = {
    "pandas": pl.DataFrame.to_pandas,
    "polars": lambda f: f,
    "lazy": pl.DataFrame.lazy,
    "arrow": pl.DataFrame.to_arrow,
}


@pytest.fixture
def frame():
    rng, n = np.random.default_rng(0), 400
    arm = rng.choice(["a", "b", "c"], n, p=[0.5, 0.3, 0.2])
    p = np.select([arm == "a", arm == "b"], [0.5, 0.3], 0.2)
    click, country = (rng.random(n) < 0.3).astype(int), rng.choice(["AT", "BR"], n)
    return pl.DataFrame({"item": arm, "click": click, "p": p, "country": country, "pi": np.where(arm == "b", 1.0, 0.0)})


def by_command(tmp_path, frame, *options):
    frame.write_parquet(tmp_path / "log.parquet")
    done = CliRunner().invoke(app, ["ope", str(tmp_path / "log.parquet"), *options, "--json", str(tmp_path / "o")])
    assert done.exit_code == 0, done.output
    found = json.loads((tmp_path / "o").read_text())
    found.pop("log")
    return found


@pytest.mark.medium
@pytest.mark.parametrize("kind", KINDS)
def test_a_policy_is_worth_what_the_command_says(tmp_path, frame, kind):
    frame = frame.drop("pi")
    expected = by_command(tmp_path, frame, "--policy", "arm:b", *OPTIONS)
    found = frames.ope(KINDS[kind](frame), "arm:b", columns=ROLES)
    assert found.facts == expected
    rows = found.table if kind in ("polars", "lazy") else pl.DataFrame(found.table)
    assert rows["estimator"].to_list() == list(expected["estimates"])
    assert rows["value"].to_list() == [row["value"] for row in expected["estimates"].values()]
    assert type(found.table).__module__.startswith({"pandas": "pandas", "arrow": "pyarrow"}.get(kind, "polars"))
    assert "arm:b: 400 rows" in repr(found)


@pytest.mark.medium
def test_a_table_that_brings_pi_along(tmp_path, frame):
    expected = by_command(tmp_path, frame, "--target-pmf", "pi", "--reward", "click", "--propensity", "p")
    found = frames.ope(frame.to_pandas(), target_pmf="pi", columns={"reward": "click", "propensity": "p"})
    assert found.facts == expected
    b = frame.filter(item="b")
    assert found.facts["estimates"]["ips"]["value"] == pytest.approx(b["click"].sum() / 0.3 / len(frame))


@pytest.mark.medium
def test_a_frame_becomes_an_app_and_is_there_once(tmp_path, monkeypatch, frame):
    monkeypatch.setenv("CROUPIER_VAR", str(tmp_path))
    # as people have it: an index of their own, a category, a missing value
    table = frame.drop("pi").to_pandas().astype({"item": "category"}).set_index(np.arange(1000, 1400))
    table.loc[1001, "p"] = None
    said = frames.declare(table, app="shop", columns=ROLES)
    assert (said.facts["arms"], list(said.table["app"])) == (3, ["shop"])
    assert any("column item is the arm" in note for note in said.notes)
    first, again = frames.import_log(table, app="shop"), frames.import_log(table, app="shop")
    assert (first.facts["decisions"], first.facts["skipped"]) == (399, 1)
    assert any("bad propensity" in note or "no propensity" in note for note in first.notes)
    assert (again.facts["decisions"], again.facts["repeated"]) == (0, 399)
    assert sorted(arm.arm_id for arm in Workspace.known("shop").arms()) == ["a", "b", "c"]
    with pytest.raises(ValueError, match="is there already"):
        frames.declare(table, app="shop", columns=ROLES)


@pytest.mark.parametrize(
    ("table", "error", "says"),
    [
        ([1, 2], TypeError, "found list, expected a pandas, Polars or Arrow table"),
        (pd.Series([1, 2]), TypeError, "found Series, expected"),
        (pd.DataFrame({3: [1]}), ValueError, "found a column named 3, expected names that are text"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), ValueError, "found a column named 'a', expected"),
        (pa.table({"item": ["a"], "p": [0.5]}), ValueError, "found no column for the reward"),
        (pl.DataFrame({"item": [], "p": [], "click": []}), ValueError, "found no usable row"),
    ],
)
def test_what_is_no_log_is_refused_by_name(table, error, says):
    with pytest.raises(error, match=says):
        frames.ope(table, "uniform", columns={"arm": "item"} if not isinstance(table, list) else None)


def test_values_of_several_kinds_cost_their_rows_or_their_column(frame):
    """A pandas column may hold anything."""
    table = frame.drop("pi").to_pandas()
    table["debug"] = [1, "x", None, object()] * 100
    table["p"] = table["p"].astype(object)
    table.loc[:4, "p"] = "half"
    found = frames.ope(table, "arm:b", columns=ROLES)
    assert found.facts["skipped"] == {"bad propensity": 5}
    expected = frames.ope(frame.drop("pi")[5:], "arm:b", columns=ROLES).facts["estimates"]
    assert found.facts["estimates"] == expected
    said = frames.ope(
        table.assign(pi=frame["pi"].to_numpy())[5:].astype({"p": float}),
        target_pmf="pi",
        columns={"reward": "click", "propensity": "p"},
    )
    assert said.facts["rows"] == 395


def test_one_question_at_a_time(frame):
    with pytest.raises(ValueError, match="by policy or by target_pmf"):
        frames.ope(frame, "uniform", target_pmf="pi")
    with pytest.raises(ValueError, match="found 'context' beside target_pmf, expected roles of reward"):
        frames.ope(frame, target_pmf="pi", columns={"context": "country"})


@pytest.mark.medium
def test_a_notebook_shows_text_as_text(frame):
    """Names come from the log: nothing of them is markup."""
    odd = frame.drop("pi").with_columns(item=pl.col("item").replace("b", "<b>&"))
    found = frames.ope(odd, "arm:<b>&", columns=ROLES)
    assert "arm:&lt;b&gt;&amp;: 400 rows" in found._repr_html_()
    assert "<b>&:" not in found._repr_html_()
