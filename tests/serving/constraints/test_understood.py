"""What is understood of rules and constraints, in words, and what is wrong with them for the arms that there are."""

import tomllib

from croupier.features.schema import Arm
from croupier.features.spec import AppSpec
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
    assert understood.problems(found, ARMS) == []


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
