"""Features as people have them: nested, listed, written as text, null; and what becomes of those nobody declared."""

import numpy as np
import orjson
import polars as pl
import pytest

from croupier.features.encoding.as_sent import MAX_DEPTH, flattened, number_in
from croupier.features.encoding.earlier_columns import EarlierColumns
from croupier.features.encoding.encoder import Encoder
from croupier.features.encoding.grown import grown
from croupier.features.encoding.undeclared import Undeclared
from croupier.features.quality.seen_values import SeenValues
from croupier.features.schema import Arm, InvalidEvent
from croupier.features.spec import AppSpec, SpecError

APP = AppSpec.model_validate(
    {
        "context": {
            "device.type": {"type": "categorical"}, "device.size.px": {"type": "numeric", "transform": "none"},
            "tags": {"type": "tags", "max_vocabulary": 3}, "age": {"type": "numeric", "transform": "none", "strings": True},
            "member": {"type": "categorical"}, "taste": {"type": "embedding", "length": 2},
        },
        "arm": {"about.genre": {"type": "categorical"}, "labels": {"type": "tags"},
                "price": {"type": "numeric", "transform": "none", "strings": True}},
        "interactions": [{"a": "context.tags", "b": "context.age"}],
    }
)  # fmt: skip
ARMS = [
    Arm(arm_id="a", features={"about": {"genre": "x", "title": None}, "labels": ["new", "red"], "price": "2.5"}),
    Arm(arm_id="b", features={"about": {"genre": "y"}, "labels": [], "price": 4, "link": {"to": "b"}}),
]
SEEN = [
    {"device.type": "tv", "device.size.px": 2.0, "tags": ["x", "y", "x"], "age": 30.0, "member": True, "taste": [1.0, 2.0]},
    {"device.type": "phone", "device.size.px": 4.0, "tags": ["x"], "age": 40.0, "member": False},
    {"device.type": "phone", "device.size.px": 6.0, "age": 50.0, "member": False},
]  # fmt: skip


def log(contexts):
    return pl.DataFrame(
        {"context": [orjson.dumps(c).decode() for c in contexts], "arm_context": ["[]"] * len(contexts)}
    )


@pytest.fixture(scope="module")
def encoder():
    return Encoder.fit(APP, log(SEEN), ARMS)


def taken(encoder, context, undeclared=None):
    return encoder.taken(context, (), (), undeclared or Undeclared())[0]


def columns(encoder, context):
    """The columns that are not zero, by name."""
    row = encoder.encode([context], [["a"]], [()], encoder.catalogue(ARMS)).context[0]
    return {name: value for name, value in zip(encoder.context_names, row.tolist(), strict=True) if value}


def test_people_s_features_become_the_declared_columns(encoder):
    sent = {
        "device": {"type": "phone", "size": {"px": 3.5}, "os": None}, "tags": ["y", "x", "y", "z", "w"], "age": " 31.5 ",
        "member": True, "taste": [0.25, -1],
    }  # fmt: skip
    row = taken(encoder, sent)
    assert row == {
        "device.type": "phone", "device.size.px": 3.5, "tags": ["y", "x", "y", "z", "w"], "age": 31.5, "member": True,
        "taste": [0.25, -1],
    }  # fmt: skip
    assert columns(encoder, row) == {
        "device.size.px": 3.5, "age": 31.5, "device.type=phone": 1, "member=true": 1, "taste[0]": 0.25, "taste[1]": -1,
        "tags=x": 1, "tags=y": 1, "tags=<unk>": 2,  # z and w, which no row of the fit had
        "tags=x*age": 31.5, "tags=y*age": 31.5, "tags=<unk>*age": 63.0,
    }  # fmt: skip
    assert sent["age"] == " 31.5 "  # the caller's own is left as it was


@pytest.mark.parametrize(
    "nothing", [{}, {"tags": None, "device": None}, {"tags": [], "device": {"type": None}, "x": []}]
)
def test_null_and_empty_are_no_feature(encoder, nothing):
    row = taken(encoder, nothing)
    assert row == {}
    assert columns(encoder, row) == {
        "device.size.px": 4.0,
        "age": 40.0,
        "tags=<missing>": 1,
        "tags=<missing>*age": 40.0,
    }


def test_arms_of_the_catalogue_and_of_a_request_are_encoded_alike(encoder):
    given = [{"about": {"genre": "x"}, "labels": ["red", "new"], "price": "2.5"}]
    (own,) = encoder.taken({}, (), given, Undeclared())[2]
    assert own == {"about.genre": "x", "labels": ["red", "new"], "price": 2.5}
    brought = encoder.encode([{}], [["n"]], [()], encoder.catalogue(ARMS), [[own]]).arm_features[0, 0]
    listed = encoder.encode([{}], [["a"]], [()], encoder.catalogue(ARMS)).arm_features[0, 0]
    np.testing.assert_array_equal(brought, listed)
    named = dict(zip(encoder.arm_names, listed.tolist(), strict=True))
    assert named == {
        "price": 2.5, "about.genre=x": 1, "about.genre=y": 0, "about.genre=<unk>": 0,
        "labels=new": 1, "labels=red": 1, "labels=<unk>": 0, "labels=<missing>": 0,
    }  # fmt: skip


@pytest.mark.parametrize(("context", "said"), [
    ({"device": {"typ": "tv"}}, "context.device.typ: found 'tv', expected a declared feature of app.toml: age, device.si"),
    ({"device.type": "tv", "device": {"type": "pc"}}, "context.device.type: found 'pc', expected one value of this name"),
    ({"tags": "red"}, "context.tags: found 'red', expected a list of at most 256 strings"),
    ({"tags": ["red", 7]}, "context.tags: found ['red', 7], expected a list of at most 256 strings"),
    ({"tags": [f"w{i}" for i in range(257)]}, "context.tags: found ['w0', 'w1'"),
    ({"age": "007"}, "context.age: found '007', expected a finite number (or null), or a text that writes one"),
    ({"age": "1,000"}, "context.age: found '1,000'"), ({"age": "NaN"}, "context.age: found 'NaN'"),
    ({"age": "1e999"}, "context.age: found '1e999'"), ({"age": ""}, "context.age: found ''"),
    ({"age": True}, "context.age: found True"), ({"device": {"size": {"px": "3"}}}, "context.device.size.px: found '3'"),
    ({"taste": [1]}, "context.taste: found [1], expected a list of 2 finite numbers"),
    ([], "context: found [], expected a JSON object"),
])  # fmt: skip
def test_what_is_wrong_is_named(encoder, context, said):
    with pytest.raises(InvalidEvent) as error:
        taken(encoder, context)
    assert str(error.value).startswith(said)


def test_it_is_not_followed_for_ever():
    deep = {"a": 1}
    for _ in range(MAX_DEPTH - 1):
        deep = {"b": deep}
    assert list(flattened(deep, "context").values()) == [1]
    with pytest.raises(InvalidEvent, match="at most 16 of them, nested"):
        flattened({"b": deep}, "context")


def test_undeclared_features_are_left_out_and_counted_where_an_app_says_so(encoder):
    undeclared = Undeclared(lambda: True)
    assert taken(encoder, {"age": 3, "hue": "red", "device": {"os": "x"}}, undeclared) == {"age": 3}
    given = encoder.taken({}, (), [{"price": 1.0, "colour": 7}, None], undeclared)[2]
    assert list(given) == [{"price": 1.0}, None]
    assert undeclared.counts == {"context.hue": 1, "context.device.os": 1, "arm.colour": 1}


def test_texts_that_write_numbers():
    assert [number_in(t) for t in ("3", "-2.5e3", " .5", "+1", "0")] == [3.0, -2500.0, 0.5, 1.0, 0.0]
    assert {number_in(t) for t in ("", "-", "1_0", "0x1", "٣", "12a", "inf", "1 2", "01")} == {None}


def test_a_profile_of_words_tells_what_moved(encoder):
    tags = next(f for f in encoder.context.features if f.name == "tags")
    assert (tags.vocabulary, tags.profile.missing) == (("x", "y"), pytest.approx(1 / 3))
    assert tags.profile.shares == pytest.approx((2 / 3, 1 / 3, 0.0))
    seen = SeenValues(tags)
    for some in ([["x", "z"], None], [[], ["z"]]):
        seen.add(some)
    now = seen.profile
    assert (now.missing, now.shares) == (0.5, pytest.approx((1 / 3, 0.0, 2 / 3)))


def test_new_words_get_columns_and_the_earlier_ones_are_read_from_them_to_the_bit(encoder):
    later = log([{"tags": ["x", "z", "q"], "age": 2.0}] * 20 + [{"tags": ["q"], "age": 1.0}] * 20)
    now, changes = grown(encoder, APP, later, ARMS)
    assert [(c.feature, c.added, c.full) for c in changes] == [("context.tags", 1, True)]  # max_vocabulary is 3
    assert now.context.features[-1].vocabulary == ("x", "y", "q")
    read = EarlierColumns.between(now, encoder)
    contexts = [{"tags": t, "age": 3.0} for t in (["q", "x"], ["q", "z", "u"], ["y"])] + [{"age": 1.5}]
    new, old = (e.encode(contexts, [["a"]] * 4, [()] * 4, e.catalogue(ARMS)) for e in (now, encoder))
    back = read.batch(new, read.catalogue(new.catalogue))
    assert new.context.shape[1] == old.context.shape[1] + 2
    np.testing.assert_array_equal(back.context, old.context)


def test_it_is_kept_and_older_states_are_what_they_were(encoder, tmp_path):
    encoder.save(tmp_path)
    assert Encoder.load(tmp_path).digest == encoder.digest
    assert taken(Encoder.load(tmp_path), {"age": "7"}) == {"age": 7.0}
    state = orjson.loads((tmp_path / "encoder.json").read_bytes())
    assert {f["name"] for scope in ("context", "arm") for f in state[scope] if "strings" in f} == {"age", "price"}


@pytest.mark.parametrize(
    ("feature", "said"),
    [
        ('type = "text"', "free text is read by the text encoder of a later version"),
        ('type = "tags"\nstrings = true', "expected strings = true of numbers alone, not of tags"),
    ],
)
def test_free_text_is_declared_and_refused_for_now(tmp_path, feature, said):
    (tmp_path / "app.toml").write_text(f"[context.review]\n{feature}\n")
    with pytest.raises(SpecError, match=said):
        AppSpec.read(tmp_path / "app.toml")
