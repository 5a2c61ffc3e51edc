"""The log of an ordinary shop, as its people export it, from `init` through `import` and the join: each value is right.

A semicolon CSV with decimal commas: rewards missing where nobody answered, tags, ages as text, names in many scripts,
prices of the offered articles that change from row to row, an article number with a leading zero, no event ids.
"""

import csv
from datetime import UTC, datetime, timedelta

import numpy as np
import orjson
import pytest
from typer.testing import CliRunner

from croupier.features import build
from croupier.features.encoding import catalogue
from croupier.features.encoding.encoder import Encoder
from croupier.features.exchange.sources import open_source
from croupier.features.ids import hash_unit
from croupier.features.interactions.versions import read_interactions
from croupier.features.workspace import Workspace

START = datetime(2026, 3, 1, 10, tzinfo=UTC)
ARTICLES = ["007", "7", "Größe-M", "茶", "été;soldé"]
CITIES = ["Wien", "Kraków", "東京", "São Paulo", 'l\'"île"']
TAGS = ["neu", "sale", "été"]
N = 240


def rows(rng):
    """What happened, as Python values; None where nothing is known."""
    for i in range(N):
        arms = [ARTICLES[k] for k in rng.permutation(5)[: rng.integers(2, 6)]]
        yield {
            "zeit": START + timedelta(seconds=10 * i),
            "user": f"kundin{i % 60}@example.org",
            "arm": arms[int(rng.integers(len(arms)))],
            "p": 1 / len(arms),
            "candidates": arms,
            "clicked": [None, 0, 1][int(rng.integers(3))],
            "age": [None, int(rng.integers(18, 90))][int(i % 5 > 0)],
            "city": CITIES[int(rng.integers(5))],
            "tags": [t for t in TAGS if rng.random() < 0.4],
            "basket": round(float(rng.gamma(2, 20)), 2),
            "arm_context": [{"price": round(float(rng.gamma(3, 9)), 2)} for _ in arms],
        }


def write(path, happened):
    names = {"zeit": "timestamp", "user": "user_id", "p": "propensity"}
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        out = csv.writer(file, delimiter=";")
        out.writerow([names.get(k, k) for k in happened[0]])
        for row in happened:
            out.writerow(map(_cell, row.keys(), row.values()))
    return path


def _cell(name, value):
    if name == "age":
        return "n/a" if value is None else f"{value}"
    if isinstance(value, list):
        return orjson.dumps(value).decode()
    if isinstance(value, float):
        return repr(value).replace(".", ",")
    return "" if value is None else value.isoformat() if name == "zeit" else value


@pytest.fixture
def happened():
    return list(rows(np.random.default_rng(8)))


def run(command, *arguments):
    out = CliRunner().invoke(command, [*map(str, arguments), "--app", "shop"])
    assert out.exit_code == 0, out.output
    return out.output


@pytest.mark.medium
def test_from_init_to_the_encoder(tmp_path, monkeypatch, happened):
    from croupier.serving.commands import app

    monkeypatch.setenv("CROUPIER_VAR", str(tmp_path / "var"))
    log = write(tmp_path / "export.csv", happened)
    said = run(app.init, log)
    for sentence in (
        "columns are separated by ';'",
        "numbers are written with a decimal comma",
        "column user_id is the unit_id",
        "context.tags: lists of words (tags)",
        "were written as text",
        f"column clicked is empty in {sum(r['clicked'] is None for r in happened)} of {N} rows",
    ):
        assert sentence in said
    paid = sum(r["clicked"] is not None for r in happened)
    assert f"{N} new decisions, {paid} new rewards, 0 rows repeat" in run(app.import_, log)
    assert f"0 new decisions, 0 new rewards, {N} rows repeat" in run(app.import_, log)
    build.collect("shop")
    build.join("shop", START.isoformat(), (START + timedelta(hours=1)).isoformat())
    w = Workspace.known("shop")
    found = read_interactions(w.store, start=START, end=START + timedelta(hours=1)).sort("at")
    check(found, happened, w.unit_key)
    arms = catalogue.read(w.home / "catalogue.json")
    assert {a.arm_id for a in arms} == set(ARTICLES)
    encoder = Encoder.fit(w.spec, found, arms)
    encoder.validate(
        {"age": 30, "city": "東京", "tags": ["sale"]}, ["007", "茶"], [{"price": 1.5}, {}], encoder.catalogue(arms)
    )
    ages = [row["age"] for row in happened if row["age"] is not None]
    age = next(f for f in encoder.context.features if f.name == "age")
    assert (age.type, age.mean) == ("numeric", pytest.approx(np.mean(ages)))


def check(found, happened, key):
    assert len(found) == N
    for got, row in zip(found.iter_rows(named=True), happened, strict=True):
        assert (got["arm"], got["arms"], got["unit_id"]) == (row["arm"], row["candidates"], hash_unit(key, row["user"]))
        assert (got["propensity"], got["at"]) == (row["p"], int(row["zeit"].timestamp()) * 1_000_000)
        assert (got["reward"], got["reward_count"]) == (float(row["clicked"] or 0), int(row["clicked"] is not None))
        tags = {"tags": row["tags"]} if row["tags"] else {}
        told = {"age": row["age"], "city": row["city"], "basket": row["basket"]}
        assert orjson.loads(got["context"]) == {k: v for k, v in told.items() if v is not None} | tags
        assert orjson.loads(got["arm_context"]) == row["arm_context"]


def test_parquet_out_is_the_table_that_comes_in_again(tmp_path, monkeypatch, happened):
    from croupier.serving.commands import app

    monkeypatch.setenv("CROUPIER_VAR", str(tmp_path / "var"))
    log = write(tmp_path / "export.csv", happened[:60])
    run(app.init, log)
    run(app.import_, log)
    build.collect("shop")
    build.join("shop", START.isoformat(), (START + timedelta(hours=1)).isoformat())
    run(app.export, tmp_path / "out.parquet")
    w = Workspace.known("shop")
    joined = read_interactions(w.store, start=START, end=START + timedelta(hours=1)).sort("at")
    again = [r.decision for r in open_source(tmp_path / "out.parquet", unit_key="k").records()]
    assert [(d.event_id, d.arm, d.arms, d.at) for d in again] == [
        (r["event_id"], r["arm"], tuple(r["arms"]), r["at"]) for r in joined.iter_rows(named=True)
    ]
    refused = CliRunner().invoke(app.export, [str(tmp_path / "out.csv"), "--app", "shop"])
    assert str(refused.exception).endswith("for DSJSON")
    assert not (tmp_path / "out.csv").exists()
