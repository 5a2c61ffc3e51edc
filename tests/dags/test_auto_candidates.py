"""`candidates = "auto"` through the real DAGs: the log chooses in `plan`, and what it chose is trained and judged."""

import json

import orjson
import pytest

from tests.dags.small_app import small_app

pytestmark = pytest.mark.slow
INTERVAL = {"start": "2026-09-21T00:00:00Z", "end": "2026-09-23T00:00:00Z"}


def test_the_log_chooses_its_candidates_and_the_gate_judges_them(dags, var):
    w, *_ = small_app("chooses", 'candidates = "auto"')
    built = dags("test", "build_features", json.dumps({"app": "chooses", **INTERVAL}))
    key = built["returned"]["encode"]["features"]

    gate = dags("test", "train_and_gate", json.dumps({"app": "chooses", "features": key}))
    assert gate["state"] == "success", gate
    chosen = orjson.loads(w.store.get(f"choices/{key}.json"))
    assert "chooses: auto: 11 trials on 900 rows, none of which judges, chose: " in dags.said
    assert [job["policy"] for job in gate["returned"]["plan"]] == list(chosen["candidates"])
    (verdict,) = gate["returned"]["judge"]
    judged = verdict["evaluation"]["policies"]
    assert set(judged) == {"uniform", "logging", *chosen["candidates"]}
    best = chosen["rungs"][-1][0]
    head = orjson.loads(w.store.get(f"{verdict['candidates'][best['policy']]}/policy.json"))
    assert best["parameters"].items() <= head["parameters"].items()
    (published,) = gate["returned"]["publish"]
    assert published["release"] == 1

    tuned = dags("test", "tune", json.dumps({"app": "chooses", "trials": 3}))
    assert tuned["state"] == "success", tuned
    assert tuned["returned"]["tune"]["features"] == key
    assert "chooses: 3 trials: " in dags.said
    (record,) = w.store.list("tunings/")
    tried = orjson.loads(w.store.get(record))
    assert (tried["app"], tried["on"], len(tried["rungs"][0])) == ("chooses", key, 3)
    assert tuned["returned"]["tune"]["tuned"]["policy"] in {row["policy"] for row in tried["rungs"][-1]}


def test_an_app_that_names_its_candidates_is_not_tuned(dags, var):
    small_app("named")
    run = dags("test", "tune", json.dumps({"app": "named"}))
    assert run["tasks"] == {"apps": "success", "tune[0]": "skipped"}
    assert 'reason=\'named: app.toml names its candidates; `candidates = "auto"` lets the log choose' in dags.said
