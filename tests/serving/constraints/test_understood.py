"""What is understood of rules and constraints, in words, and what is wrong with them for the arms that there are."""

import tomllib

import pytest

from croupier import Embedded
from croupier.features.schema import Arm
from croupier.features.spec import AppSpec, SpecError
from croupier.serving.constraints import understood

FEATURES = """
[context.age]
type = "numeric"
[context.region]
type = "categorical"
[arm.category]
type = "categorical"
[arm.cost]
type = "numeric"
"""
ARMS = [
    Arm(arm_id="beer", features={"category": "alcohol", "cost": 2.0}),
    Arm(arm_id="tea", features={"category": "drink", "cost": 0.0}),
]


def spec(text):
    return AppSpec.model_validate(tomllib.loads(FEATURES + text))


@pytest.mark.parametrize(("text", "said"), [
    ("conservative = 1.0", "safety.conservative: found 1.0, expected less than 1"),
    ('conservative = "0.1"', "safety.conservative: found '0.1', expected a number, without quotes"),
    ("conservative = true", "safety.conservative: found True, expected a number"),
    ("conservative = nan", "safety.conservative: found nan"),
    ('baseline = "tea"', "safety.baseline: found 'tea' without safety.conservative, expected both, or none"),
    ('conservative = 0.1\nbaseline = ""', "safety.baseline: found ''"),
    ("conservative = 0.1\nnever_dominated = true\n[policies]\ncandidates = ['lin_ts']",
     "safety.conservative: found it beside never_dominated"),
    ("conservative = 0.1\n[allocation]\ntotal = 3\n[policies]\ncandidates = ['lin_ts']",
     r"safety.conservative: found it beside \[allocation\]"),
    ("conservative = 0.1\n[reward]\nrange = [-1, 1]", "safety.conservative: found reward.range from -1 on, expected 0"),
    ('conservative = 0.1\nbaseline = "tea"\n[arms]\nsource = "request"', "safety.baseline: found arm 'tea' with arms.source"),
])  # fmt: skip
def test_a_promise_that_could_not_be_kept_is_refused_by_name(tmp_path, text, said):
    (tmp_path / "app.toml").write_text(f"{FEATURES}[safety]\n{text}\n")
    with pytest.raises(SpecError, match=said):
        AppSpec.read(tmp_path / "app.toml")


def test_a_promise_is_said_in_words_and_a_baseline_that_is_no_arm_is_named():
    promise = "[safety]\nconservative = 0.2\n"
    (said,) = understood.sentences(spec(promise), ARMS)
    assert said == (
        "safety: the running value of all decisions is never below 0.8 of what a uniform choice would have earned, with "
        "probability 0.95; the policy has 0.2 of each decision, and more as the log allows"
    )
    assert understood.problems(spec(promise), ARMS) == []
    assert understood.problems(spec(promise + 'baseline = "tea"\n'), ARMS) == []
    (unknown,) = understood.problems(spec(promise + 'baseline = "wine"\n'), ARMS)
    assert (
        unknown
        == "safety.baseline: found 'wine', expected 'uniform', 'release N', or the id of an arm in catalogue.json"
    )
    never = '[[rules]]\nname = "never"\narms = ["tea"]\n'
    (ruled,) = understood.problems(spec(never + promise + 'baseline = "tea"\n'), ARMS)
    assert ruled.startswith("safety.baseline: found 'tea', which rules without `when` leave out")


def test_they_are_said_in_words():
    found = spec(
        '[[rules]]\nname = "minors"\nwhen.age = { below = 18 }\nwhen.region = ["DE", "AT"]\narm.category = ["alcohol"]\n'
        '[[rules]]\nname = "never"\narms = ["tea"]\n'
        '[[constraints]]\nname = "drinks"\narm.category = ["drink"]\nfloor = 0.1\ncap = 0.5\n'
        '[[constraints]]\nname = "seen"\nkind = "exposure"\narms = ["tea"]\nfloor = 0.2\n'
        '[[constraints]]\nname = "money"\nkind = "spend"\ncost = "cost"\nbudget = 50\n'
    )
    assert understood.sentences(found, ARMS) == [
        "rule minors: where age is below 18 and region is DE or AT (where that is not sent: too), 1 arm (beer) left out",
        "rule never: in every request, 1 arm (tea) left out",
        "constraint drinks: in each decision that lists them, 1 arm (tea) together with probability at least 0.1 and at most 0.5",
        "constraint seen: 1 arm (tea) together at least 0.2 of all decisions, in the mean, by a price that turns move",
        "constraint money: at most 50 a day (UTC) of cost, which 1 arm (beer) cost when they are shown",
    ]
    assert understood.problems(found, ARMS) == [
        "constraints 'drinks': found that rules without `when` leave out all of its arms",
        "constraints 'seen': found that rules without `when` leave out all of its arms",
    ]


def test_a_budget_that_nothing_can_keep_is_said():
    money = spec('[[constraints]]\nname = "money"\nkind = "spend"\ncost = "cost"\nbudget = 50\n')
    costs = [Arm(arm_id=name, features={"cost": 3.0}) for name in ("print", "radio")]
    unstoppable = (
        "each arm costs something, so that a request for these arms alone is answered when the budget is spent, too; "
        "an arm that costs 0 makes the budget firm"
    )
    assert understood.sentences(money, costs) == [
        "constraint money: at most 50 a day (UTC) of cost, which 2 arms (print, radio) cost when they are shown",
        f"constraint money: {unstoppable}",
    ]
    (alone,) = understood.sentences(money, [*costs, Arm(arm_id="nothing", features={"cost": 0.0})])
    assert alone.endswith("which 2 arms (print, radio) cost when they are shown")


def test_what_does_not_fit_the_arms_is_a_problem():
    found = spec(
        '[[rules]]\nname = "a"\narms = ["rum", "beer"]\n[[rules]]\nname = "b"\narm.category = ["drink"]\n'
        '[[constraints]]\nname = "c"\narm.category = ["food"]\nfloor = 0.1\n'
    )
    assert understood.problems(found, ARMS) == [
        "rules 'a': found rum, expected ids of arms in catalogue.json",
        "constraints 'c': found no arm in catalogue.json that it is about, expected one at least",
        "rules: found that rules without `when` leave out every arm, expected one at least to choose",
    ]


def test_limits_that_no_request_for_all_arms_keeps_are_a_problem():
    found = spec('[[constraints]]\nname = "c"\narms = ["beer", "tea"]\ncap = 0.4\n')
    (said,) = understood.problems(found, ARMS)
    assert said.startswith(
        "constraints: a request for all arms would be refused: found caps that sum to 0.8, expected at least 1"
    )


def exposure(name, category, text):
    return f'[[constraints]]\nname = "{name}"\nkind = "exposure"\narm.category = ["{category}"]\n{text}\n'


@pytest.mark.parametrize(("text", "names"), [
    (exposure("a", "alcohol", "floor = 0.7") + exposure("b", "drink", "floor = 0.4"), "'a' and 'b'"),
    (exposure("a", "alcohol", "floor = 0.7") + '[[constraints]]\nname = "b"\narm.category = ["alcohol"]\ncap = 0.2\n', "'a' and 'b'"),
    (exposure("a", "alcohol", "cap = 0.5") + exposure("b", "drink", "cap = 0.4"), "'a' and 'b'"),
    (exposure("c", "alcohol", "cap = 0.9") + exposure("a", "alcohol", "floor = 0.8") + exposure("b", "drink", "floor = 0.3"), "'a' and 'b'"),
])  # fmt: skip
def test_constraints_that_no_shares_keep_together_are_named(text, names):
    (said,) = understood.problems(spec(text), ARMS)
    assert said.startswith(f"constraints: found that no share of decisions keeps {names} together")


def test_constraints_that_just_fit_are_no_problem():
    text = exposure("a", "alcohol", "floor = 0.7") + exposure("b", "drink", "floor = 0.3\ncap = 0.3")
    assert understood.problems(spec(text), ARMS) == []


def test_a_floor_of_arms_that_are_always_ruled_out_is_a_problem():
    text = (
        '[[rules]]\nname = "r"\narms = ["beer"]\n[[constraints]]\nname = "c"\narm.category = ["alcohol"]\nfloor = 0.1\n'
    )
    assert understood.problems(spec(text), ARMS) == [
        "constraints 'c': found that rules without `when` leave out all of its arms"
    ]


@pytest.mark.parametrize("cost", [-1.0, 1e300])
def test_a_cost_that_cannot_be_added_up_is_a_problem_and_no_release(cost, tmp_path):
    text = '[[constraints]]\nname = "ads"\nkind = "spend"\nbudget = 10\ncost = "cost"\n'
    arms = [*ARMS, Arm(arm_id="odd", features={"category": "drink", "cost": cost})]
    (said,) = understood.problems(spec(text), arms)
    assert said.startswith(f"constraints: arm odd: found cost = {cost:g}, which constraint ads counts as a cost")
    given = {arm.arm_id: arm.features for arm in arms}
    with pytest.raises(ValueError, match=r"arm odd: found cost = .*expected a number of at least 0 and at most 1e\+12"):
        Embedded.declared("shop", toml=FEATURES + text, arms=given, var=tmp_path)


def test_names_are_of_one_line_and_prices_have_names_of_their_own():
    with pytest.raises(ValueError, match="expected a name of one line"):
        spec('[[constraints]]\nname = "a\\u001b[31m"\narms = ["tea"]\nfloor = 0.1\n')
    text = exposure("a", "drink", "floor = 0.1")
    with pytest.raises(ValueError, match="found two prices of the name 'a floor'"):
        spec(text + '[[constraints]]\nname = "a floor"\nkind = "spend"\nbudget = 10\ncost = "cost"\n')


def test_minimums_of_slates_are_said_and_those_that_no_slate_keeps_are_a_problem():
    found = spec('[[slates.minimums]]\nfeature = "category"\nvalue = "drink"\n')
    assert understood.sentences(found, ARMS) == [
        "slates: of every slate at least 1 slot with category = 'drink', 1 arm (tea)"
    ]
    assert understood.problems(found, ARMS) == []
    (said,) = understood.sentences(spec("[slates]\ndiversity = 0.5\n[reward]\nrange = [0, 4]\n"), ARMS)
    assert said == "slates: an arm's likeness to the arms above it costs up to 2 of its score, by category"
    found = spec(
        '[[slates.minimums]]\nfeature = "category"\nvalue = "drink"\nleast = 2\n'
        '[[slates.minimums]]\nfeature = "category"\nvalue = "alcohol"\n'
        '[[rules]]\nname = "never"\narms = ["beer"]\n'
    )
    said = "slates.minimums category = {!r}: found {} in catalogue.json that can be shown, expected at least {}: {}"
    assert understood.problems(found, ARMS) == [
        said.format("drink", "1 arm", 2, "every slate would be refused"),
        said.format("alcohol", "0 arms", 1, "every slate would be refused"),
    ]


def test_unlike_arms_need_a_feature_that_tells_them_apart(tmp_path):
    for toml, says in (
        ("[slates]\ndiversity = 0.5\n", "slates.diversity: found 0.5 without a categorical feature in [arm], expected"),
        ("[slates]\ndiversity = 1.5\n", "slates.diversity: found 1.5, expected"),
    ):
        with pytest.raises(SpecError) as refused:
            Embedded.declared("shop", toml=toml, arms={}, var=tmp_path)
        assert says in str(refused.value)


@pytest.mark.parametrize(("text", "says"), [
    ('feature = "colour"\nvalue = "red"', "slates.minimums: found colour, expected a feature declared in [arm.NAME]: category, cost"),
    ('feature = "cost"\nvalue = "red"', "slates.minimums.cost: found 'red', expected numbers"),
    ('feature = "category"\nvalue = 3', "slates.minimums.0.value"),
    ('feature = "category"\nvalue = "a"\nleast = 0', "slates.minimums.0.least"),
    ('feature = "category"\nvalue = "a"\n[[slates.minimums]]\nfeature = "category"\nvalue = "a"', "found two for category = 'a', expected one with its least number"),
    ('feature = "category"\nvalue = "a"\n[[slates.minimums]]\nfeature = "other"\nvalue = "a"\n[arm.other]\ntype = "categorical"', "found categories by category and other, expected one feature for all"),
    ('feature = "other"\nvalue = "a"\n[arm.other]\ntype = "tags"', "found other, a feature of type tags, expected a categorical one"),
])  # fmt: skip
def test_minimums_that_do_not_fit_the_declaration_are_refused_by_name(tmp_path, text, says):
    with pytest.raises(SpecError) as refused:
        Embedded.declared("shop", toml=FEATURES + f"[[slates.minimums]]\n{text}\n", arms={}, var=tmp_path)
    assert says in str(refused.value)
