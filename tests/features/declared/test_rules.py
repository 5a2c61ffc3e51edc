"""Rules and constraints as app.toml declares them: what they are about, and nonsense that is refused by name."""

import numpy as np
import pytest

from croupier.features.declared.condition import Between, all_hold, holds
from croupier.features.declared.rule import RuleSpec
from croupier.features.declared.ruled_out import RuledOut
from croupier.features.spec import AppSpec, SpecError

FEATURES = """
[context.age]
type = "numeric"
[context.region]
type = "categorical"
[context.seen]
type = "timestamp"
[arm.category]
type = "categorical"
[arm.maker]
type = "categorical"
[arm.price]
type = "numeric"
"""
ARMS = {
    "beer": {"category": "alcohol", "price": 2.0}, "wine": {"category": "alcohol", "price": 9.0},
    "tea": {"category": "drink", "price": 1.0}, "cup": {"price": 3.0},
}  # fmt: skip


def read(tmp_path, text):
    (tmp_path / "app.toml").write_text(FEATURES + text)
    return AppSpec.read(tmp_path / "app.toml")


@pytest.mark.parametrize(("condition", "value", "expected"), [
    (Between(below=18), 17.9, True), (Between(below=18), 18, False), (Between(at_least=18), 18, True),
    (Between(at_least=1, below=2), 2.0, False), (Between(below=18), None, None), (Between(below=18), float("nan"), None),
    (Between(below=18), "17", None), (Between(below=18), True, None), (("DE", "AT"), "AT", True), (("DE",), "de", False),
    (("DE",), None, None), ((True,), 1.0, False), ((1,), True, False), ((1,), 1.0, True), (("a", "b"), ["x", "b"], True),
    (("a",), ["x"], False),
])  # fmt: skip
def test_a_condition_holds_fails_or_is_not_known(condition, value, expected):
    assert holds(condition, value) is expected


def test_one_that_fails_outweighs_one_that_is_missing():
    assert all_hold([(("DE",), "FR"), (Between(below=18), None)]) is False
    assert all_hold([(("DE",), "DE"), (Between(below=18), None)]) is None
    assert all_hold([]) is True


def ruled(**rule):
    return RuledOut([RuleSpec.model_validate({"name": "r"} | rule)], ARMS)


@pytest.mark.parametrize(("rule", "context", "left_out"), [
    ({"when": {"age": {"below": 18}}, "arm": {"category": ["alcohol"]}}, {"age": 17}, {"beer", "wine"}),
    ({"when": {"age": {"below": 18}}, "arm": {"category": ["alcohol"]}}, {"age": 18}, set()),
    ({"when": {"age": {"below": 18}}, "arm": {"category": ["alcohol"]}}, {}, {"beer", "wine"}),
    ({"when": {"age": {"below": 18}}, "arm": {"category": ["alcohol"]}, "missing": "keep"}, {}, set()),
    ({"when": {"age": {"below": 18}, "region": ["DE"]}, "arms": ["tea"]}, {"age": 5, "region": "DE"}, {"tea"}),
    ({"when": {"age": {"below": 18}, "region": ["DE"]}, "arms": ["tea"]}, {"age": 5, "region": "FR"}, set()),
    ({"when": {"age": {"below": 18}, "region": ["DE"]}, "arms": ["tea"]}, {"region": "FR"}, set()),
    ({"arm": {"price": {"at_least": 3}}}, {}, {"wine", "cup"}),
    ({"arm": {"category": ["alcohol"], "price": {"below": 5}}}, {}, {"beer"}),
])  # fmt: skip
def test_a_rule_leaves_out_its_arms_where_it_holds(rule, context, left_out):
    found = ruled(**rule).why(context, tuple(ARMS))
    assert found == dict.fromkeys(left_out, "rule r")


def test_arms_that_a_request_brings_along_are_asked_for_their_own_features():
    rules = ruled(arm={"category": ["alcohol"]})
    given = ({"category": "alcohol"}, {"category": "drink"}, None)
    assert rules.why({}, ("tea", "beer", "wine"), given) == {"tea": "rule r", "wine": "rule r"}


def test_logged_candidates_are_marked_and_a_row_without_any_left_is_not():
    rules = ruled(when={"age": {"below": 18}}, arm={"category": ["alcohol"]})
    contexts, arms = (
        [{"age": 17}, {"age": 30}, {"age": 17}],
        [("tea", "beer", "wine"), ("beer", "tea"), ("beer", "wine")],
    )
    found = rules.places(contexts, arms, [()] * 3, 4)
    np.testing.assert_array_equal(found, [[0, 1, 1, 0], [0, 0, 0, 0], [0, 0, 0, 0]])


@pytest.mark.parametrize(("text", "says"), [
    ('[[rules]]\nname = "a"\nwhen = { old = [1] }\narms = ["x"]', r"rules 'a': when: found old, expected a feature declared"),
    ('[[rules]]\nname = "a"\narm = { kind = ["x"] }', r"found kind, expected a feature declared in \[arm.NAME\]: category"),
    ('[[rules]]\nname = "a"\nwhen = { age = ["x"] }\narms = ["x"]', r"rules 'a': when.age: found 'x', expected numbers"),
    ('[[rules]]\nname = "a"\nwhen = { region = { below = 3 } }\narms = ["x"]', r"when.region: \{ at_least, below \} is of numbers"),
    ('[[rules]]\nname = "a"\nwhen = { seen = ["x"] }\narms = ["x"]', r"type timestamp can stand in no condition"),
    ('[[rules]]\nname = "a"\nwhen = { age = { below = 1, at_least = 2 } }\narms = ["x"]', r"expected at_least under below, found 2 and 1"),
    ('[[rules]]\nname = "a"\nwhen = { age = {} }\narms = ["x"]', r"expected at_least, below, or both"),
    ('[[rules]]\nname = "a"', r"expected either arms \(their ids\) or arm"),
    ('[[rules]]\nname = "a"\narms = ["x"]\n[[rules]]\nname = "a"\narms = ["y"]', r"rules: found two of the name 'a'"),
    ('[[rules]]\nname = "a"\narms = ["x"]\nwenn = 1', r"rules.0.wenn: .* did you mean when"),
    ('[[constraints]]\nname = "a"\narms = ["x"]', r"found neither a floor nor a cap"),
    ('[[constraints]]\nname = "a"\narms = ["x"]\nfloor = 0.5\ncap = 0.4', r"found floor 0.5 and cap 0.4, expected floor ≤ cap"),
    ('[[constraints]]\nname = "a"\nfloor = 0.5', r"expected either arms \(ids\) or arm \(a feature\)"),
    ('[[constraints]]\nname = "a"\narms = ["x", "y"]\nfloor = 0.6', r"found floors of arms that sum to 1.2, expected at most 1"),
    ('[[constraints]]\nname = "a"\narms = ["x"]\nfloor = 0.1\n[[constraints]]\nname = "b"\narms = ["x"]\ncap = 0.3', r"found two for the arm 'x'"),
    ('[[constraints]]\nname = "a"\narm = { category = ["n"] }\nfloor = 0.1\n[[constraints]]\nname = "b"\narm = { maker = ["m"] }\ncap = 0.3', r"found categories by category and maker, expected one feature"),
    ('[[constraints]]\nname = "a"\narm = { category = ["n"] }\nfloor = 0.1\n[[constraints]]\nname = "b"\narm = { category = ["m", "n"] }\ncap = 0.3', r"found 'n' in two categories"),
    ('[[constraints]]\nname = "a"\narm = { price = { below = 3 } }\nfloor = 0.1', r"found an interval, expected a list of values"),
    ('[arms]\nsource = "request"\n[[constraints]]\nname = "a"\narm = { category = ["n"] }\nfloor = 0.1', r"found categories or costs with arms.source = 'request'"),
    ('[[constraints]]\nname = "a"\nkind = "spend"\nbudget = 5', r"constraint a: expected a budget above 0, and cost"),
    ('[[constraints]]\nname = "a"\nkind = "spend"\nbudget = 5\ncost = "category"', r"found cost 'category', expected a numeric \[arm\]: price"),
    ('[[constraints]]\nname = "a"\nkind = "spend"\nbudget = 5\ncost = "price"\ncap = 0.5', r"found arms, floor or cap, expected budget and cost alone"),
    ('[[constraints]]\nname = "a"\nkind = "exposure"\narms = ["x"]\nfloor = 0.5\nbudget = 3', r"found budget or cost, which are of kind"),
    ('[[constraints]]\nname = "a"\nkind = "exposure"\narms = ["x"]\nfloor = 0.6\n[[constraints]]\nname = "b"\nkind = "exposure"\narms = ["y"]\nfloor = 0.6', r"found exposure floors that sum to 1.2"),
])  # fmt: skip
def test_nonsense_is_refused_by_name(tmp_path, text, says):
    with pytest.raises(SpecError, match=says):
        read(tmp_path, text)


def test_what_is_well_is_read(tmp_path):
    spec = read(
        tmp_path, '[[rules]]\nname = "no alcohol below 18"\nwhen.age = { below = 18 }\narm.category = ["alcohol"]'
    )
    assert spec.rules[0] == RuleSpec(
        name="no alcohol below 18", when={"age": Between(below=18)}, arm={"category": ("alcohol",)}
    )
    assert RuleSpec.model_validate_json(spec.rules[0].model_dump_json()) == spec.rules[0]


@pytest.mark.parametrize(
    "more",
    ['[[rules]]\nname = "no beer"\narms = ["beer"]\n', '[[constraints]]\nname = "less"\narms = ["beer"]\ncap = 0.5\n'],
)
def test_they_are_refused_beside_allocations_which_would_not_keep_them(tmp_path, more):
    allocates = '[policies]\ncandidates = ["lin_ts"]\n[allocation]\ntotal = 5\n[allocation.costs]\nbeer = 1\ntea = 2\n'
    assert read(tmp_path, allocates).allocation.declared
    assert read(tmp_path, more)
    with pytest.raises(SpecError, match=r"allocation: found it declared beside \[\[rules\]\] or \[\[constraints\]\]"):
        read(tmp_path, allocates + more)
