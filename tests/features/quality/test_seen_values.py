"""Values that are counted some rows at a time come to what they are all at once."""

import tomllib
import tracemalloc

import numpy as np
import orjson
import polars as pl
import pytest

from croupier.features.encoding import profile
from croupier.features.encoding.encoder import Encoder
from croupier.features.quality import seen_values
from croupier.features.spec import AppSpec
from croupier.features.worlds.reels import World

WORLD = World(seed=1, n_arms=5)


@pytest.fixture(scope="module")
def fitted():
    rows = WORLD.interactions(3000)
    return rows, Encoder.fit(AppSpec.model_validate(tomllib.loads(WORLD.app_toml())), rows[:60], WORLD.arms())


@pytest.mark.parametrize("at_once", [7, 1000, 5000])
def test_numbers_and_words(fitted, at_once, monkeypatch):
    rows, encoder = fitted
    monkeypatch.setattr(seen_values, "ROWS", at_once)
    lacking = rows.with_columns(context=pl.Series([text if i % 5 else "{}" for i, text in enumerate(rows["context"])]))
    of_context, of_pairs = seen_values.of_interactions([lacking[:999], lacking[999:]], encoder)
    found = {seen.feature.name: seen for seen in of_context}
    contexts = [orjson.loads(text) for i, text in enumerate(rows["context"]) if i % 5]
    ages = np.array([context["age"] for context in contexts if context.get("age") is not None], np.float64)
    trained = found["age"].feature.profile
    assert found["age"].n == 3000
    assert found["age"].outside == ((ages < trained.low) | (ages > trained.high)).sum() > 0
    assert found["age"].profile.missing == pytest.approx(1 - len(ages) / 3000, rel=1e-15)
    assert found["age"].profile.shares == profile.binned(ages, trained.cuts)
    countries = pl.Series([context["country"] for context in contexts])
    words = found["country"].feature.vocabulary
    assert found["country"].profile.shares[:-1] == pytest.approx([(countries == word).mean() for word in words])
    assert found["country"].profile.missing == pytest.approx(0.2)
    assert [seen.n for seen in of_pairs] == [rows["arms"].list.len().sum()] * len(of_pairs)


def test_words_that_training_did_not_see_take_no_room(fitted):
    seen = {each.feature.name: each for each in seen_values.of_columns(fitted[1].context)}["country"]
    words = [[f"word {part} {i}" for i in range(1000)] for part in range(20)]
    seen.add(["MARS"])
    tracemalloc.start()
    for some in words:
        seen.add(some)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 50_000  # bytes; 20,000 words take more than a million
    assert seen.n == seen.present == 20_001
    assert seen.profile.shares == (*[0.0] * len(seen.feature.vocabulary), 1.0)
