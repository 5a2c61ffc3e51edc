"""Lists of inline arms read in one pass are what the careful reading makes of them, and never what it refuses."""

import json
import random

import orjson
import pytest

from croupier.features.encoding.encoder import Encoder
from croupier.features.encoding.undeclared import Undeclared
from croupier.features.schema import Arm, InvalidEvent
from croupier.features.spec import AppSpec
from croupier.serving.contract.requests import MAX_FIELD_BYTES, Raw, arms_of
from croupier.serving.contract.typed_arms import TypedArms
from croupier.serving.decide.offered import Offered
from croupier.serving.release import bundle
from tests.serving import apps

NUMERIC, TEXT = {"type": "numeric", "transform": "none"}, {"type": "categorical"}
SHAPES = {
    "numbers": {"price": NUMERIC, "a.b": NUMERIC},
    "a number and a text": {"kind": TEXT, "price": NUMERIC},
    "several of both": {"kind": TEXT, "price": NUMERIC, "sort": TEXT, "weight": NUMERIC},
    "texts": {"kind": TEXT, "sort": TEXT},
    "nothing": {},
}
NUMBERS = (0, -0.0, 3, 1.5, -2e9, 1e300, 5e-324, 0.1 + 0.2, 2**60, 2**80)
TEXTS = ("", "a", "ü", "a b", 'q"\\', "\u0000", "x" * 1024, "other")


def encoder_of(shape):
    known = [Arm(arm_id=kind, features={"kind": kind, "sort": kind}) for kind in ("a", "ü")]
    return Encoder.empty(AppSpec.model_validate({"arm": SHAPES[shape]}), known)


def reader(encoder, published=frozenset()):
    return TypedArms(*encoder.arm.validation.typed, encoder.arm.values, published=published)


def value(rng, declared):
    return rng.choice(NUMBERS if declared["type"] == "numeric" else TEXTS)


@pytest.mark.parametrize("shape", SHAPES)
def test_what_is_read_is_what_the_careful_reading_makes_of_it(shape):
    encoder, rng = encoder_of(shape), random.Random(3)
    typed = reader(encoder)
    for _ in range(60):
        arms = [
            {"id": f"{rng.choice('aü ')}{i}", "features": {k: value(rng, f) for k, f in SHAPES[shape].items()}}
            for i in range(rng.randint(1, 30))
        ]
        for raw in (json.dumps(arms).encode(), json.dumps(arms, separators=(",", ":"), ensure_ascii=False).encode()):
            ids, rows = arms_of(orjson.loads(raw))
            expected = encoder.arm.plain(rows)
            found = typed.read(raw)
            assert found is not None
            assert found[0] == ids
            assert found[1] == expected
            assert found[1].values == expected.values
            assert orjson.loads(found[1]._text) == list(rows)


GOOD = '{"id":"x","features":{"kind":"a","price":1.5}}'
ODD = {
    "no arm": "",
    "an id among them": GOOD + ',"y"',
    "twice": f"{GOOD},{GOOD}",
    "an id that is published": GOOD.replace('"x"', '"listed"'),
    "an empty id": GOOD.replace('"x"', '""'),
    "a long id": GOOD.replace('"x"', f'"{"i" * 257}"'),
    "a number as id": GOOD.replace('"x"', "7"),
    "a line in an id": GOOD.replace('"x"', '"a\\nb"'),
    "delete in an id": GOOD.replace('"x"', '"a\x7f"'),
    "a space of no width in an id": GOOD.replace('"x"', '"a\u200b"'),
    "no id": '{"features":{"kind":"a","price":1.5}}',
    "no features": '{"id":"x"}',
    "more than both": GOOD[:-1] + ',"more":1}',
    "features that are a list": '{"id":"x","features":[]}',
    "a feature more": GOOD.replace('"kind"', '"hue":1,"kind"'),
    "arm_id as a feature": GOOD.replace('"kind"', '"arm_id":"x","kind"'),
    "a feature less": '{"id":"x","features":{"kind":"a"}}',
    "a null": GOOD.replace("1.5", "null"),
    "true": GOOD.replace("1.5", "true"),
    "a number as text": GOOD.replace("1.5", '"1.5"'),
    "no number": GOOD.replace("1.5", "NaN"),
    "too large a number": GOOD.replace("1.5", "1e999"),
    "too large an integer": GOOD.replace("1.5", "1" + "0" * 400),
    "a text as number": GOOD.replace('"a"', "7"),
    "a long text": GOOD.replace('"a"', f'"{"t" * 1025}"'),
    "half a pair": GOOD.replace('"a"', '"\\ud800"'),
    "what is nested": GOOD.replace("1.5", '{"low":1}'),
    "cut short": GOOD[:-2],
    "many commas": ",".join(GOOD.replace('"x"', f'"{i}"') for i in range(1001)),
    "many brackets": GOOD.replace('"a"', f'"{"[" * 3001}"'),
    "too long": ",".join(GOOD.replace('"x"', f'"{"i" * 200}{i}"') for i in range(MAX_FIELD_BYTES // 240)),
}


@pytest.fixture(scope="module")
def offered(tmp_path_factory):
    """The same release twice: one with the reading in one pass, one without."""
    folder = tmp_path_factory.mktemp("release") / "1"
    app, spec = apps.sample(), AppSpec.model_validate({"arm": SHAPES["a number and a text"]})
    arms = [Arm(arm_id="listed", features={"kind": "a", "price": 1.0})]
    champion = apps.trained("uniform")
    bundle.write_release(
        folder,
        number=1,
        champion=champion,
        candidate=None,
        encoder=Encoder.empty(spec, arms),
        arms=arms,
        floor=0.02,
        meta={},
        salt="s",
        source="both",
    )
    assert app.spec.arm
    quick, careful = (Offered(bundle.load(folder), every=False) for _ in range(2))
    assert quick._typed is not None
    careful._typed = None
    return quick, careful


def outcome(offered, arms):
    undeclared = Undeclared(lambda: False)
    raw = Raw(b"u", b"{}", f"[{arms}]".encode())
    try:
        request = offered.checked(offered.decoded(raw), 0, undeclared).request
    except InvalidEvent as error:
        return str(error)
    return request.arms, [None if row is None else dict(row) for row in request.arm_features]


@pytest.mark.parametrize("kind", ODD)
def test_whatever_is_wrong_is_said_in_the_same_words(kind, offered):
    quick, careful = offered
    assert quick._typed.read(f"[{ODD[kind]}]".encode()) is None
    assert outcome(quick, ODD[kind]) == outcome(careful, ODD[kind])


def test_a_right_list_is_the_same_by_both(offered):
    several = ",".join(GOOD.replace('"x"', f'"x{i}"') for i in range(1000))
    for arms in (GOOD, several):
        assert offered[0]._typed.read(f"[{arms}]".encode()) is not None
        assert outcome(offered[0], arms) == outcome(offered[1], arms)
    assert outcome(offered[0], GOOD) == (("x",), [{"kind": "a", "price": 1.5}])


def test_a_key_that_stands_twice_counts_once_in_the_log_too(offered):
    twice = GOOD.replace('"kind"', '"price":9,"kind"')
    ids, rows = offered[0]._typed.read(f"[{twice}]".encode())
    assert (ids, rows._text) == (("x",), b'[{"price":1.5,"kind":"a"}]')
    assert outcome(offered[0], twice) == outcome(offered[1], twice)
