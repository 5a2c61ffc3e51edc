"""New categories get columns at a later training; what the earlier encoder wrote can be read from them, to the bit."""

from dataclasses import replace

import numpy as np
import orjson
import polars as pl
import pytest

from croupier.features.encoding.earlier_columns import EarlierColumns, extends
from croupier.features.encoding.encoder import Encoder
from croupier.features.encoding.grown import grown
from croupier.features.schema import Arm
from croupier.features.spec import AppSpec

SPEC = {
    "context": {"city": {"type": "categorical", "max_vocabulary": 5}, "age": {"type": "numeric"}},
    "arm": {"arm_id": {"type": "categorical"}, "genre": {"type": "categorical"}},
    "arm_context": {"shelf": {"type": "categorical"}, "price": {"type": "numeric"}},
    "interactions": [
        {"a": "context.city", "b": "context.age"}, {"a": "context.city", "b": "arm.genre"},
        {"a": "arm.arm_id", "b": "arm.genre"}, {"a": "context.city", "b": "arm_context.shelf"},
    ],
    "reward": {"kinds": {"click": {}}},
}  # fmt: skip
APP = AppSpec.model_validate(SPEC)
OLD = [Arm(arm_id="a", features={"genre": "x"}), Arm(arm_id="b", features={"genre": "y"})]
NEW = [*OLD, Arm(arm_id="c", features={"genre": "z"})]


def rows(cities, shelves, ages=(20.0, 30.0)):
    contexts = [{"city": c, "age": ages[i % len(ages)]} if c else {"age": 1.0} for i, c in enumerate(cities)]
    pairs = [[{"shelf": s, "price": 2.0}, {"shelf": shelves[0]}] for s in shelves]
    texts = {"context": map(orjson.dumps, contexts), "arm_context": map(orjson.dumps, pairs)}
    return pl.DataFrame({name: [text.decode() for text in each] for name, each in texts.items()})


@pytest.fixture
def before():
    return Encoder.fit(APP, rows(["Graz", "Wien", None] * 10, ["s1", "s2", "s1"] * 10), OLD)


LATER = rows(["Graz", "Linz", "東京", "Wien", "Linz"] * 20, ["s1", "s3", "s2", "s3", "s1"] * 20)


def encoded(encoder, arms):
    contexts = [{"city": c, "age": a} for c, a in (("Graz", 7.0), ("Linz", -1.5), ("Rom", 3.25), ("東京", 0.5))]
    contexts += [{}, {"city": None, "age": 9.0}]
    pairs = [
        [{"shelf": s, "price": 1.25}, {"shelf": "s1"}, {"price": 3.0}] for s in ("s3", "s1", "s2", "s9", "s3", "s2")
    ]
    ids = [[arm.arm_id for arm in NEW]] * len(contexts)
    return encoder.encode(contexts, ids, pairs, encoder.catalogue(arms))


def test_new_categories_get_columns_and_all_else_stays(before):
    now, changes = grown(before, APP, LATER, NEW)
    assert now.context.features[1].vocabulary == ("Graz", "Wien", "Linz", "東京")
    assert now.arm.features[0].vocabulary == ("a", "b", "c")
    assert now.pair.features[1].vocabulary == ("s1", "s2", "s3")
    assert {str(c).partition(":")[0] for c in changes} == {
        "context.city",
        "arm.arm_id",
        "arm.genre",
        "arm_context.shelf",
    }
    assert next(c for c in changes if c.feature == "context.city").unknown == pytest.approx(0.6)
    assert now.context.features[0] == before.context.features[0]  # numbers keep their mean and scale
    assert set(before.context_names) <= set(now.context_names)
    assert "city=<missing>" in now.context_names  # though no value of the window is missing
    assert now.digest != before.digest


def test_the_earlier_encoders_columns_are_read_from_the_grown_ones_to_the_bit(before):
    now, _ = grown(before, APP, LATER, NEW)
    columns = EarlierColumns.from_json(orjson.loads(orjson.dumps(EarlierColumns.between(now, before).to_json())))
    new, old = encoded(now, NEW), encoded(before, NEW)
    read = columns.batch(new, columns.catalogue(new.catalogue))
    assert new.context.shape[1] > old.context.shape[1]
    for name in ("context", "pair"):
        np.testing.assert_array_equal(getattr(read, name), getattr(old, name))
    np.testing.assert_array_equal(read.catalogue.features, old.catalogue.features)
    assert (columns.now, columns.before) == (now.digest, before.digest)


def test_categories_below_the_limit_wait(before):
    spec = APP.model_copy(update={"training": APP.training.model_copy(update={"unknown": 0.7})})
    same, changes = grown(before, spec, LATER, OLD)
    assert (same is before, changes) == (True, [])


def test_a_full_vocabulary_says_so(before):
    many = rows([f"c{k}" for k in range(9)] * 4, ["s1"] * 36)
    now, changes = grown(before, APP, many, OLD)
    (city,) = [c for c in changes if c.feature == "context.city"]
    assert (city.added, city.full, len(now.context.features[1].vocabulary)) == (3, True, 5)
    assert "max_vocabulary" in str(city)
    again, changes = grown(now, APP, many, OLD)
    assert (again is now, [(c.added, c.full) for c in changes]) == (True, [(0, True)])


def test_another_encoder_is_no_grown_one(before):
    now, _ = grown(before, APP, LATER, NEW)
    assert (extends(now, before), extends(before, now), extends(before, before)) == (True, False, True)
    moved = Encoder.fit(APP, rows(["Graz", "Wien", None] * 10, ["s1", "s2", "s1"] * 10, ages=(5.0,)), OLD)
    with pytest.raises(ValueError, match=r"context\.age: found other columns than before"):
        EarlierColumns.between(now, moved)
    fewer = replace(before.context.features[1], vocabulary=("Graz",))
    assert fewer.columns != before.context.features[1].columns
