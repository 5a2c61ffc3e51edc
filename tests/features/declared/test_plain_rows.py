"""Rows kept as values and JSON are the rows they were made of, wherever a tuple of them is expected."""

import numpy as np
import orjson
import pytest

from croupier.features.declared.plain_rows import PlainRows
from croupier.features.encoding.encoder import Encoder
from croupier.features.log.spool_rows import decision, decision_row
from croupier.features.schema import Arm, Decision
from croupier.features.spec import AppSpec

SPEC = AppSpec.model_validate(
    {
        "arm": {
            "price": {"type": "numeric", "transform": "none"},
            "weight": {"type": "numeric", "transform": "log"},
            "kind": {"type": "categorical"},
        }
    }
)
ROWS = (
    {"price": 3, "weight": 1.5, "kind": "a"},
    {"weight": -2e9, "price": 1e300, "kind": "ü"},
    {"price": 0.1 + 0.2, "weight": 2**60, "kind": ""},
)
ENCODER = Encoder.empty(SPEC, [Arm(arm_id="x", features={"price": 1.0, "weight": 2.0, "kind": "a"})])


@pytest.fixture
def plain():
    found = ENCODER.arm.plain(ROWS)
    assert isinstance(found, PlainRows)
    return found


def test_they_are_the_tuple_that_they_were(plain):
    assert plain == ROWS
    assert tuple(ROWS).__eq__(plain) is NotImplemented  # so that the plain rows are asked
    assert plain == PlainRows(len(ROWS), orjson.dumps(ROWS), plain.values)
    assert plain != ROWS[:2]
    assert plain != "abc"
    assert (len(plain), bool(plain), plain[1], plain[:2], list(plain)) == (3, True, ROWS[1], ROWS[:2], list(ROWS))
    assert None not in plain
    assert ROWS[2] in plain
    assert {"price": 4} not in plain


@pytest.mark.parametrize(
    "odd",
    [
        {"price": 3, "weight": 1.5},
        {"price": 3, "weight": 1.5, "kind": "a", "more": 1},
        {"price": 3, "weight": 1.5, "other": "a"},
        {"price": True, "weight": 1.5, "kind": "a"},
        {"price": None, "weight": 1.5, "kind": "a"},
        {"price": "3", "weight": 1.5, "kind": "a"},
        {"price": 10**400, "weight": 1.5, "kind": "a"},
        {"price": 3, "weight": 1.5, "kind": 7},
        {"price": 3, "weight": 1.5, "kind": None},
        {"price": 3, "weight": 1.5, "kind": "a" * 1025},
        {"price": [3], "weight": 1.5, "kind": "a"},
        None,
        "abc",
        ["price", "weight", "kind"],
    ],
)
def test_whatever_has_to_be_looked_at_is_not_plain(odd):
    assert ENCODER.arm.plain((*ROWS, odd)) is None


def test_too_large_a_sum_is_looked_at_row_by_row():
    rows = [{"price": 1.7e308, "weight": 1.0, "kind": "a"}] * 2
    assert ENCODER.arm.plain(rows) is None
    assert ENCODER.arm.validation.are_plain(rows[:1])


def test_an_app_without_features_of_arms_has_plain_rows_of_nothing():
    empty = Encoder.empty(AppSpec.model_validate({}), [])
    assert empty.arm.plain([{}, {}]) == ({}, {})
    assert empty.arm.plain([{}, {"a": 1}]) is None
    assert empty.arm.plain([{}, ""]) is None


def test_encoded_by_their_values_they_are_the_same_bits(plain):
    """Also in a batch in which some share a list, and beside a request that has to be read itself."""
    catalogue = ENCODER.catalogue([Arm(arm_id="x", features={"price": 1.0, "weight": 2.0, "kind": "a"})])
    names, other = ("p", "q", "r"), ENCODER.arm.plain(ROWS[1:])
    for given in ([plain, other], [plain, other, plain], [plain, ()], [plain, (None, *ROWS[:1])]):
        arms = [names if len(each) == 3 else ("x", "n")[: max(len(each), 1)] for each in given]
        arms = [names if each is plain else arm for each, arm in zip(given, arms, strict=True)]
        contexts, pairs = [{}] * len(given), [()] * len(given)
        made = ENCODER.encode(contexts, arms, pairs, catalogue, given)
        read = ENCODER.encode(contexts, arms, pairs, catalogue, [tuple(each) for each in given])
        np.testing.assert_array_equal(made.arm_features[made.mask], read.arm_features[read.mask])
        assert [[made.catalogue.ids[row] for row in rows] for rows in made.arm] == [
            [read.catalogue.ids[row] for row in rows] for rows in read.arm
        ]
    assert len(ENCODER.encode([{}] * 2, [names] * 2, [()] * 2, catalogue, [plain] * 2).catalogue.ids) == 4


def test_the_log_has_them_as_it_has_a_tuple(plain):
    facts = {"event_id": "e", "at": 5, "unit_id": "u", "context": {}, "arms": ("p", "q", "r"), "pmf": (0.5, 0.3, 0.2)}
    facts |= {"arm": "p", "propensity": 0.5, "policy": "x", "role": "champion", "release": 1}
    made, expected = (Decision(**facts, arm_features=given) for given in (plain, ROWS))
    assert decision_row(made) == decision_row(expected)
    assert made == expected == decision(decision_row(made)[2])
    assert made.to_row() == expected.to_row()
    assert orjson.loads(decision_row(made)[2])["arm_features"] == list(ROWS)
    assert made.listed == ()
