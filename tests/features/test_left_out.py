"""Whatever the log, `init` says of every column what became of it: declared, a role, or left out with the reason."""

import json
import re
import tomllib

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

N = 400
ARMS = ["a", "b", "c"]


def late(rng, arm, reward):
    return [float(v) if r else None for v, r in zip(rng.normal(60, 20, N), reward, strict=True)]


KINDS = {
    "number": lambda rng, arm, reward: rng.normal(size=N).tolist(),
    "text number": lambda rng, arm, reward: [f"{v:.2f}" for v in rng.normal(size=N)],
    "category": lambda rng, arm, reward: [f"k{v}" for v in rng.integers(4, size=N)],
    "identifier": lambda rng, arm, reward: [f"user {i}" for i in range(N)],
    "constant": lambda rng, arm, reward: ["same"] * N,
    "empty": lambda rng, arm, reward: [None] * N,
    "outcome": late,
    "reward again": lambda rng, arm, reward: [50.0 * r + v for r, v in zip(reward, rng.normal(size=N), strict=True)],
    "of the arm": lambda rng, arm, reward: [{"a": 9.9, "b": 19.9, "c": 29.9}[k] for k in arm],
    "tags": lambda rng, arm, reward: [["new", "sale"][: rng.integers(3)] for _ in range(N)],
    "same tags": lambda rng, arm, reward: [["new"]] * N,
    "empty lists": lambda rng, arm, reward: [[]] * N,
    "ragged": lambda rng, arm, reward: [[1.0] * int(rng.integers(1, 4)) for _ in range(N)],
    "nested": lambda rng, arm, reward: [{"deep": {"deeper": int(v)}} for v in rng.integers(4, size=N)],
    "long text": lambda rng, arm, reward: ["word " * 200 + str(v) for v in rng.integers(4, size=N)],
    "times": lambda rng, arm, reward: ["2026-01-01T00:00:00"] * (N // 2) + ["2026-01-02T00:00:00"] * (N // 2),
    "late in the file": lambda rng, arm, reward: [None] * (N - 5) + [1.0, 2.0, 3.0, 4.0, 5.0],
}  # fmt: skip


def columns(kinds, seed):
    rng = np.random.default_rng(seed)
    arm = [ARMS[k] for k in rng.integers(3, size=N)]
    reward = [float(rng.random() < {"a": 0.1, "b": 0.2, "c": 0.4}[k]) for k in arm]
    made = {"arm": arm, "propensity": [1 / 3] * N, "reward": reward}
    return made | {f"c{i}": KINDS[kind](rng, arm, reward) for i, kind in enumerate(kinds)}


def init(path, monkeypatch, tmp_path):
    from croupier.serving.commands import app

    monkeypatch.setenv("CROUPIER_VAR", str(tmp_path / "var"))
    done = CliRunner().invoke(app.init, [str(path), "--app", "shop", "--force"])
    assert done.exit_code == 0, done.output
    return done.output, tomllib.loads((tmp_path / "var" / "shop" / "app.toml").read_text())


def told(name, said, declared):
    """Whether a column became a feature (or several, of a list of words), or a line says why it did not."""
    features = [f for scope in ("context", "arm", "arm_context") for f in declared.get(scope, {})]
    if any(f == name or f.startswith(f"{name}.") for f in features):
        return True
    return bool(
        re.search(
            rf"(context|arm|arm_context)\.{name}: .*left out|column {name} is left out: \w|columns .*\b{name}\b.* are left out:",
            said,
        )
    )


@pytest.mark.medium
@settings(
    max_examples=12,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    kinds=st.lists(st.sampled_from(sorted(KINDS)), min_size=1, max_size=6),
    seed=st.integers(0, 100),
    form=st.sampled_from(["json", "parquet", "dsjson"]),
)
@example(kinds=sorted(KINDS), seed=1, form="json")
@example(kinds=sorted(KINDS), seed=2, form="parquet")
@example(kinds=sorted(KINDS), seed=3, form="dsjson")
def test_every_column_is_told_of(kinds, seed, form, tmp_path, monkeypatch):
    table = columns(kinds, seed)
    names = [name for name in table if name not in ("arm", "propensity", "reward")]
    rows = [dict(zip(table, values, strict=True)) for values in zip(*table.values(), strict=True)]
    path = tmp_path / f"log.{'parquet' if form == 'parquet' else 'json'}"
    if form == "parquet":
        pl.DataFrame(table, strict=False).write_parquet(path)
    elif form == "json":
        path.write_text("\n".join(map(json.dumps, rows)))
    else:
        lines = [
            {
                "_label_cost": -r["reward"],
                "_label_probability": r["propensity"],
                "_labelIndex": ARMS.index(r["arm"]),
                "EventId": f"e{i}",
                "Timestamp": "2026-01-01T00:00:00Z",
                "a": [1],
                "p": [1.0],
                "c": {**{n: r[n] for n in names}, "_multi": [{"_tag": a} for a in ARMS]},
            }
            for i, r in enumerate(rows)
        ]
        path.write_text("\n".join(map(json.dumps, lines)))
    said, declared = init(path, monkeypatch, tmp_path)
    for name, kind in zip(names, kinds, strict=True):
        if form == "dsjson" and kind == "nested":
            continue  # it is a namespace there: c0_deep_deeper
        assert told(name, said, declared), f"{kind}: {said}"


def test_columns_filled_after_the_sample_without_a_name_and_of_ours(tmp_path, monkeypatch):
    """Each was left out without a word: a column whose first value stands in row 5,500, pandas' index, our own."""
    n, rng = 6000, np.random.default_rng(0)
    frame = pl.DataFrame({
        "": range(n), "arm": [ARMS[k] for k in rng.integers(3, size=n)], "propensity": [1 / 3] * n, "reward": [0.0, 1.0] * (n // 2),
        "age": rng.integers(18, 90, n), "coupon": [None] * 5500 + ["MAY"] * 500, "arm.colour": [None] * n,
    })  # fmt: skip
    frame.write_csv(tmp_path / "log.csv")
    said, declared = init(tmp_path / "log.csv", monkeypatch, tmp_path)
    assert "context.coupon: left out: no value in the sample" in said
    assert "arm.colour: left out: no value in the sample" in said
    assert "a column without a name is left out" in said
    assert set(declared["context"]) == {"age"}
    frame.with_columns(context=pl.Series(['{"age": 1}'] * 5500 + ['{"age": 2, "late": 3}'] * 500)).write_csv(
        tmp_path / "log.csv"
    )
    said, _ = init(tmp_path / "log.csv", monkeypatch, tmp_path)
    assert "context.late: left out: no value in the sample" in said
