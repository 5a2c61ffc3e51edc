"""The encoder: values by hand, one digest, errors that name the field, and the same numbers in any batch."""

import subprocess
import sys

import numpy as np
import orjson
import polars as pl
import pytest

from croupier.features.declared.feature import Feature
from croupier.features.encoding.encoder import Encoder
from croupier.features.schema import Arm, InvalidEvent
from croupier.features.spec import AppSpec, Interaction, SpecError

SPEC = AppSpec(
    context={
        "age": Feature(type="numeric"),
        "spend": Feature(type="numeric", transform="log", clip=(0, 100)),
        "raw": Feature(type="numeric", transform="none"),
        "country": Feature(type="categorical", max_vocabulary=2),
        "vector": Feature(type="embedding", length=2),
        "when": Feature(type="timestamp"),
    },
    arm={"genre": Feature(type="categorical"), "price": Feature(type="numeric", transform="none")},
    arm_context={"affinity": Feature(type="numeric", transform="none")},
    interactions=(
        Interaction(a="context.raw", b="arm.price"),
        Interaction(a="arm.price", b="arm.genre"),
        Interaction(a="context.raw", b="context.age"),
    ),
)
ARMS = [Arm(arm_id="a", features={"genre": "x", "price": 2.0}), Arm(arm_id="b", features={"genre": "y", "price": 3})]
CONTEXTS = [
    {"age": 10.0, "spend": 0.0, "raw": 1.0, "country": "AT", "vector": [1, 2], "when": 0},
    {"age": 20, "spend": 1e9, "raw": 3.0, "country": "AT", "vector": [3, 4], "when": "1970-01-01T06:00:00"},
    {"age": 30.0, "spend": None, "raw": 2.0, "country": "BR"},
    {"age": 20.0, "spend": 9.0, "raw": 2.0, "country": "CH"},
]


def frame(contexts, pairs=None):
    pairs = pairs or [[{"affinity": 0.5}, {}]] * len(contexts)
    text = [orjson.dumps(c).decode() for c in contexts]
    return pl.DataFrame({"context": text, "arm_context": [orjson.dumps(p).decode() for p in pairs]})


def frame_of(values):
    return frame([{"c": v} for v in values])


@pytest.fixture(scope="module")
def encoder():
    return Encoder.fit(SPEC, frame(CONTEXTS), ARMS)


def column(encoder, batch, name):
    return batch.context[:, encoder.context_names.index(name)]


def encode(encoder, contexts, arms=("a", "b"), pairs=()):
    return encoder.encode(contexts, [arms] * len(contexts), [pairs] * len(contexts), encoder.catalogue(ARMS))


def test_values_by_hand(encoder):
    batch = encode(encoder, CONTEXTS)
    deviation = np.std([10, 20, 30, 20])
    assert column(encoder, batch, "age") == pytest.approx((np.array([10, 20, 30, 20]) - 20) / deviation)
    logged = np.log1p([0.0, 100.0, 9.0])  # 1e9 is clipped to 100
    spend = np.array([0, np.log1p(100), logged.mean(), np.log1p(9)])
    assert column(encoder, batch, "spend") == pytest.approx((spend - logged.mean()) / logged.std())
    assert column(encoder, batch, "spend=<missing>").tolist() == [0, 0, 1, 0]
    assert column(encoder, batch, "raw").tolist() == [1, 3, 2, 2]
    assert column(encoder, batch, "country=AT").tolist() == [1, 1, 0, 0]
    assert column(encoder, batch, "country=BR").tolist() == [0, 0, 1, 0]
    assert column(encoder, batch, "country=<unk>").tolist() == [0, 0, 0, 1]  # the vocabulary holds two
    assert column(encoder, batch, "vector[1]").tolist() == [2, 4, 0, 0]
    assert column(encoder, batch, "when:hour_sin") == pytest.approx([0, 1, 0, 0])  # 06:00 is a quarter of a day
    assert column(encoder, batch, "when:hour_cos") == pytest.approx([1, 0, 0, 0], abs=1e-7)


def test_products_land_in_the_widest_scope(encoder):
    batch = encode(encoder, CONTEXTS[:2], pairs=({"affinity": 7.0}, {"affinity": -1.0}))
    assert column(encoder, batch, "raw*age") == pytest.approx(
        batch.context[:, encoder.context_names.index("age")] * np.array([1, 3])
    )
    assert encoder.arm_names[-3:] == ("price*genre=x", "price*genre=y", "price*genre=<unk>")
    assert batch.catalogue.features[:, -3:].tolist() == [[2, 0, 0], [0, 3, 0]]
    assert encoder.pair_names == ("affinity", "affinity=<missing>", "raw*price")
    assert batch.pair.tolist() == [[[7, 0, 2], [-1, 0, 3]], [[7, 0, 6], [-1, 0, 9]]]


def test_ragged_candidates_are_padded_and_masked(encoder):
    catalogue = encoder.catalogue(ARMS)
    batch = encoder.encode(CONTEXTS[:2], [("b",), ("a", "b")], [({"affinity": 4.0},), ()], catalogue)
    assert batch.mask.tolist() == [[True, False], [True, True]]
    assert batch.arm.tolist() == [[1, 0], [0, 1]]
    assert batch.pair[0, 0, 0] == 4.0
    assert not batch.pair[0, 1].any()
    assert batch.pair[1, 0, 1] == 1  # no arm_context at all: missing
    assert batch.pair[1, 0, 0] == 0.5  # and filled with the training mean


@pytest.mark.parametrize("hostile", ["a\nshared |", "x|y:1", "\x00", "é" * 500, "", "<unk>x", "true"])
def test_any_string_is_an_unknown_category(encoder, hostile):
    batch = encode(encoder, [{"country": hostile}])
    encoder.validate({"country": hostile}, ["a"], ())
    assert column(encoder, batch, "country=<unk>").tolist() == [1]
    assert batch.context[0, [encoder.context_names.index(n) for n in ("country=AT", "country=BR")]].tolist() == [0, 0]


def test_categories_that_are_not_strings_are_their_text():
    spec = AppSpec(context={"c": Feature(type="categorical")})
    encoder = Encoder.fit(spec, frame([{"c": 1}, {"c": "true"}, {"c": 2.0}]), ARMS)
    assert encoder.context_names == ("c=1", "c=2", "c=true", "c=<unk>")
    batch = encode(encoder, [{"c": "1"}, {"c": True}, {"c": 2}, {"c": 1.5}])
    assert batch.context.argmax(axis=1).tolist() == [0, 2, 1, 3]


def test_no_requests_at_all(encoder):
    batch = encode(encoder, [])
    assert (len(batch), batch.context.shape[1], batch.pair.shape[2]) == (0, len(encoder.context_names), 3)


def test_batch_mates_do_not_matter(encoder):
    whole = encode(encoder, CONTEXTS, pairs=({"affinity": 1.5}, {}))
    for i, context in enumerate(CONTEXTS):
        alone = encode(encoder, [context], pairs=({"affinity": 1.5}, {}))
        assert np.array_equal(alone.context[0], whole.context[i])
        assert np.array_equal(alone.pair[0], whole.pair[i])


def test_columns_and_rows_are_one_transform(encoder):
    """Missing, unknown, not-a-string and absent values included."""
    rows = [{"age": 1, "spend": None, "raw": 2.5, "country": "AT", "vector": [1.0, 2.0], "when": "2024-01-01T05:00:00"},
            {"age": None, "spend": 3.0, "raw": None, "country": None, "vector": None, "when": None},
            {"age": 7, "spend": 1e12, "raw": -1.0, "country": "|x", "vector": [0.0, 1.0], "when": None}]  # fmt: skip
    frame = pl.DataFrame(rows)
    assert np.array_equal(encoder.context.frame_matrix(frame), encoder.context.matrix(rows))
    less = [{k: v for k, v in row.items() if k in ("age", "when")} for row in rows]
    assert np.array_equal(encoder.context.frame_matrix(frame.select("age", "when")), encoder.context.matrix(less))
    numbered = Encoder.fit(AppSpec(context={"c": Feature(type="categorical")}), frame_of([1, 2, 2.0, None]), ARMS)
    for values in ([1, 2, 3, None], [1.0, 2.5, 2.0, float("nan")], [True, False, None, True], ["1", "2", "x", None]):
        columns = pl.DataFrame({"c": pl.Series(values)})
        assert np.array_equal(numbered.context.frame_matrix(columns), numbered.context.matrix(columns.to_dicts()))


def test_saved_is_loaded_and_a_change_is_seen(encoder, tmp_path):
    encoder.save(tmp_path)
    again = Encoder.load(tmp_path)
    assert again.digest == encoder.digest
    assert np.array_equal(encode(again, CONTEXTS).context, encode(encoder, CONTEXTS).context)
    path = tmp_path / "encoder.json"
    path.write_text(path.read_text().replace('"AT"', '"AU"'))
    with pytest.raises(ValueError, match="digest found"):
        Encoder.load(tmp_path)


def test_digest_follows_the_fitted_state(encoder):
    assert Encoder.fit(SPEC, frame(CONTEXTS), ARMS).digest == encoder.digest
    assert Encoder.fit(SPEC, frame(CONTEXTS[:3]), ARMS).digest != encoder.digest


def test_empty_knows_no_category_of_requests_and_all_arms():
    encoder = Encoder.empty(SPEC, ARMS)
    batch = encode(encoder, CONTEXTS[:1])
    assert column(encoder, batch, "country=<unk>").tolist() == [1]
    assert column(encoder, batch, "age").tolist() == [10]
    assert "genre=x" in encoder.arm_names


def test_huge_finite_numbers_stay_finite(encoder):
    encoder.validate({"raw": 1e300, "age": 10**300}, ["a"], ())
    batch = encode(encoder, [{"raw": 1e300, "age": 10**300}])
    assert np.isfinite(batch.context).all()
    assert np.isfinite(batch.pair).all()


def test_what_a_tiny_scale_makes_huge_is_held_to_the_limit():
    spec = AppSpec(context={"even": Feature(type="numeric"), "plain": Feature(type="numeric")})
    encoder = Encoder.fit(spec, frame([{"even": 1.0, "plain": 0.0}, {"even": 1.0 + 4e-11, "plain": 2.0}]), ARMS)
    rows = [{"even": 1e18, "plain": 1e18}, {"even": -1e18, "plain": 3.0}]
    for some in (rows, rows[:1]):
        batch = encode(encoder, some)
        assert column(encoder, batch, "even").tolist() == pytest.approx([1e18, -1e18][: len(some)])
        assert column(encoder, batch, "plain").tolist() == pytest.approx([1e18, 2.0][: len(some)])


def test_a_missing_category_that_training_never_missed_lights_nothing():
    spec = AppSpec(context={"c": Feature(type="categorical"), "d": Feature(type="categorical")})
    encoder = Encoder.fit(spec, frame([{"c": "x", "d": "y"}] * 2), ARMS)
    assert encoder.context_names == ("c=x", "c=<unk>", "d=y", "d=<unk>")
    rows = [{"c": "x", "d": "z"}, {"c": None, "d": "y"}, {"d": "y"}, {}]
    expected = [[1, 0, 0, 1], [0, 0, 1, 0], [0, 0, 1, 0], [0, 0, 0, 0]]
    assert encode(encoder, rows).context.tolist() == expected
    assert [encode(encoder, [row]).context[0].tolist() for row in rows] == expected


@pytest.mark.parametrize(
    ("context", "field", "word"),
    [
        ({"age": float("nan")}, "context.age", "finite"), ({"age": float("inf")}, "context.age", "finite"),
        ({"age": "10"}, "context.age", "number"), ({"age": True}, "context.age", "number"),
        ({"age": [1]}, "context.age", "number"), ({"age": 10**400}, "context.age", "number"),
        ({"country": ["AT"]}, "context.country", "string"), ({"country": "x" * 1025}, "context.country", "1024"),
        ({"country": {"deep": {}}}, "context.country", "string"), ({"aeg": 1}, "context.aeg", "age"),
        ({"vector": [1.0]}, "context.vector", "2"), ({"vector": [1, float("nan")]}, "context.vector", "finite"),
        ({"when": "yesterday"}, "context.when", "ISO"), ({"when": 1e15}, "context.when", "seconds"),
        ([], "context", "object"), ("{}", "context", "object"), (None, "context", "object"),
    ],
)  # fmt: skip
def test_bad_context_names_the_field(encoder, context, field, word):
    with pytest.raises(InvalidEvent, match=word) as caught:
        encoder.validate(context, ["a"], ())
    assert caught.value.field == field
    assert len(str(caught.value)) < 800


@pytest.mark.parametrize(
    ("arms", "pairs", "field"),
    [
        ([], (), "arms"), (["a", "a"], (), "arms"), ([f"a{i}" for i in range(10_000)], (), "arms"), ("a", (), "arms"),
        ([1], (), "arms"), (["a", "ghost"], (), "arms"), ([["a"]], (), "arms"),
        (["a", "b"], [{}], "arm_context"), (["a"], [{"affinty": 1}], "arm_context[0].affinty"),
        (["a"], [{"affinity": "1"}], "arm_context[0].affinity"), (["a"], [3], "arm_context[0]"),
    ],
)  # fmt: skip
def test_bad_candidates_name_the_field(encoder, arms, pairs, field):
    with pytest.raises(InvalidEvent) as caught:
        encoder.validate({}, arms, pairs, encoder.catalogue(ARMS))
    assert caught.value.field == field


def test_a_good_request_passes(encoder):
    for context in CONTEXTS:
        encoder.validate(context, ["a", "b"], [{"affinity": 1}, {}], encoder.catalogue(ARMS))
    encoder.validate({}, ["b"], ())


def test_unknown_arm_and_bad_arm_feature(encoder):
    with pytest.raises(InvalidEvent, match="ghost"):
        encode(encoder, [{}], arms=("ghost",))
    with pytest.raises(InvalidEvent, match="price"):
        encoder.catalogue([Arm(arm_id="a", features={"price": "cheap"})])
    encoder.catalogue([Arm(arm_id="a", features={"title": "not declared, and allowed"})])


@pytest.mark.parametrize("value", ["60,50", "€60", [60.0]])
def test_before_the_first_log_an_arm_that_is_not_as_declared_is_named(value):
    arms = [Arm(arm_id="a", features={"price": 1.0}), Arm(arm_id="b", features={"price": value})]
    with pytest.raises(InvalidEvent, match=r"catalogue\.b.*: found .*60"):
        Encoder.empty(SPEC, arms)


def test_the_serving_path_loads_no_dataframe_library():
    code = "import sys, croupier.features.encoding.encoder; print(sorted({'polars', 'pandas', 'duckdb'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_interactions_must_be_declared():
    spec = AppSpec(interactions=(Interaction(a="context.age", b="arm.price"),))
    with pytest.raises(SpecError, match=r"context\.age"):
        Encoder.empty(spec, [])
