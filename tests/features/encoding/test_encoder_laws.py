"""Laws of the encoder on anything that JSON can carry: what validation accepts encodes to finite numbers, the same in any
batch and by columns or rows; what does not pass is an InvalidEvent that names a field."""

import numpy as np
import orjson
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from croupier.features.declared.feature import Feature
from croupier.features.encoding.encoder import Encoder
from croupier.features.schema import Arm, InvalidEvent
from croupier.features.spec import AppSpec, Interaction

SPEC = AppSpec(
    context={
        "n": Feature(type="numeric"),
        "l": Feature(type="numeric", transform="log", clip=(-5, 1e6)),
        "r": Feature(type="numeric", transform="none"),
        "c": Feature(type="categorical", max_vocabulary=3),
        "e": Feature(type="embedding", length=2),
        "t": Feature(type="timestamp"),
    },
    arm={"arm_id": Feature(type="categorical")},
    arm_context={"x": Feature(type="numeric")},
    interactions=(Interaction(a="context.n", b="arm_context.x"), Interaction(a="context.c", b="context.r")),
)
ARMS = [Arm(arm_id=a, features={}) for a in ("a", "b", "c")]
ROWS = [
    {"n": float(i), "l": i * 10.0, "r": -float(i), "c": "xyzw"[i % 4], "e": [0.0, 1.0], "t": i * 3600} for i in range(9)
]
TRAINING = pl.DataFrame(
    {"context": [orjson.dumps(r).decode() for r in ROWS], "arm_context": ['[{"x": 1}, {"x": 3}, {}]'] * 9}
)
ENCODER = Encoder.fit(SPEC, TRAINING, ARMS)
CATALOGUE = ENCODER.catalogue(ARMS)

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12)
anything = st.recursive(
    scalars, lambda s: st.lists(s, max_size=3) | st.dictionaries(st.text(max_size=3), s, max_size=2)
)
names = st.sampled_from([*SPEC.context, "typo", ""])
times = st.datetimes().map(lambda at: at.isoformat()) | st.floats(-1e11, 1e11, exclude_min=True, exclude_max=True)
sound = st.fixed_dictionaries({}, optional={
    "n": st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**300), 10**300),
    "l": st.floats(allow_nan=False, allow_infinity=False), "r": st.none() | st.floats(-1e6, 1e6),
    "c": st.text() | st.integers() | st.booleans() | st.none(), "t": times,
    "e": st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=2, max_size=2),
})  # fmt: skip


def encode(contexts, candidates=("a", "c"), pairs=()):
    n = len(contexts)
    return ENCODER.encode(contexts, [candidates] * n, [pairs] * n, CATALOGUE)


@settings(max_examples=120, deadline=None, derandomize=True)
@given(st.dictionaries(names, anything, max_size=5) | anything)
@pytest.mark.medium
def test_the_door_is_the_only_place_that_refuses(context):
    try:
        ENCODER.validate(context, ["a", "c"], (), CATALOGUE)
    except InvalidEvent as error:
        assert error.field.startswith("context")  # noqa: PT017 — either outcome is lawful
        return
    batch = encode([context])
    assert np.isfinite(batch.context).all()
    assert np.isfinite(batch.pair).all()


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.lists(sound, min_size=1, max_size=6))
def test_sound_requests_pass_and_do_not_depend_on_their_batch(contexts):
    for context in contexts:
        ENCODER.validate(context, ["a"], ({"x": 1.5},), CATALOGUE)
    whole = encode(contexts, pairs=({"x": 2.0}, {}))
    assert np.isfinite(whole.pair).all()
    for i, context in enumerate(contexts):
        alone = encode([context], pairs=({"x": 2.0}, {}))
        assert np.array_equal(alone.context[0], whole.context[i])
        assert np.array_equal(alone.pair[0], whole.pair[i])


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.recursive(scalars, lambda s: st.lists(s, max_size=4)), anything)
@pytest.mark.medium
def test_candidates_and_pairs_are_refused_by_name(candidates, pairs):
    try:
        ENCODER.validate({}, candidates, pairs, CATALOGUE)
    except InvalidEvent as error:
        assert error.field.startswith(("arms", "arm_context"))  # noqa: PT017
    else:
        assert set(candidates) <= {"a", "b", "c"}


WIDE = Encoder.fit(
    AppSpec(arm_context={"x": Feature(type="numeric"), "y": Feature(type="numeric"), "c": Feature(type="categorical")}),
    pl.DataFrame({"context": ["{}"], "arm_context": ['[{"x": 1, "y": 2, "c": "a"}]']}),
    ARMS,
)


@pytest.mark.parametrize("encoder", [ENCODER, WIDE, Encoder.empty(AppSpec(), ARMS)])
@pytest.mark.parametrize("bad", [
    {"typo": 1}, {"x": float("nan")}, {"x": float("inf")}, {"x": True}, {"x": "1"}, {"x": []}, {"x": 10**400}, {"x": None},
    {"c": 1}, {"c": "z" * 1025}, {"c": None}, {"y": "1"}, {"": 0}, None, [], "", "row",
])  # fmt: skip
def test_many_rows_are_checked_as_each_would_be(encoder, bad):
    """A bad one among good ones, complete in all else: the same verdict, in the same words."""
    good = {name: "a" if name == "c" else 1.5 for name in encoder.pair.span}
    rows = [good, dict(good), good | bad if isinstance(bad, dict) else bad, good]

    def said(check, *args):
        try:
            check(*args)
        except InvalidEvent as error:
            return str(error)
        return ""

    expected = said(encoder.pair.validation.check, rows[2], "arm_context[2]")
    assert said(encoder.pair.validation.check_all, rows, "arm_context") == expected
    assert bool(expected) != (bad in ({"x": None}, {"c": 1}, {"c": None}) and set(bad) <= set(good))
    assert not said(encoder.pair.validation.check_all, [good] * 3, "arm_context")


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    st.lists(st.floats(-1e9, 1e9) | st.none(), min_size=1, max_size=8),
    st.lists(st.sampled_from(["x", "y", "z", "w", "new\n|", None]), min_size=8, max_size=8),
)
def test_columns_equal_rows(numbers, categories):
    rows = [{"n": x, "l": x, "c": c} for x, c in zip(numbers, categories, strict=False)]
    frame = pl.DataFrame(rows, schema={"n": pl.Float64, "l": pl.Float64, "c": pl.String})
    assert np.array_equal(ENCODER.context.frame_matrix(frame), ENCODER.context.matrix(rows))


def test_a_duplicate_or_foreign_arm_is_refused():
    for candidates in (["a", "a"], ["a", "z"], [], ["a"] * 1001):
        with pytest.raises(InvalidEvent, match="arms"):
            ENCODER.validate({}, candidates, (), CATALOGUE)
