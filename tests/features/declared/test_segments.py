"""What constraints of segments may say together, and what is refused by name."""

import tomllib

import pytest

from croupier.features.spec import AppSpec

FEATURES = """
[context.region]
type = "categorical"
[context.age]
type = "numeric"
[arm.kind]
type = "categorical"
[arm.cost]
type = "numeric"
"""


def spec(*tables):
    return AppSpec.model_validate(tomllib.loads(FEATURES + "".join(f"[[constraints]]\n{each}\n" for each in tables)))


NORTH, SOUTH = 'when.region = ["north"]\n', 'when.region = ["south"]\n'
NEWS = 'arm.kind = ["news"]\n'


def test_each_segment_has_limits_of_its_own_beside_those_of_all():
    found = spec(
        f'name = "a"\n{NORTH}{NEWS}floor = 0.4',
        f'name = "b"\n{SOUTH}{NEWS}floor = 0.6',
        f'name = "c"\n{NEWS}floor = 0.1\ncap = 0.9',
        f'name = "d"\n{SOUTH}arms = ["x", "y"]\nfloor = 0.3',
        f'name = "e"\n{NORTH}arms = ["x", "y"]\nfloor = 0.4',
        'name = "f"\nkind = "exploration"\nwhen.age = { below = 30 }\nfloor = 0.2',
    )
    assert [one.name for one in found.constraints if one.when] == ["a", "b", "d", "e", "f"]


def test_a_constraint_without_a_segment_is_written_as_before():
    (one,) = spec(f'name = "c"\n{NEWS}floor = 0.1').constraints
    assert "when" not in one.model_dump(mode="json")


@pytest.mark.parametrize(("tables", "why"), [
    ((f'name = "a"\nwhen.city = ["x"]\n{NEWS}floor = 0.1',), "when: found city, expected a feature declared in"),
    (('name = "a"\nkind = "spend"\nwhen.region = ["x"]\ncost = "cost"\nbudget = 3',), "expected a budget of all requests"),
    (('name = "a"\nkind = "exploration"\nfloor = 0.1',), "of all requests it is policies.floor"),
    ((f'name = "a"\nkind = "exploration"\n{NORTH}floor = 0.1\ncap = 0.5',), "every candidate is meant"),
    ((f'name = "a"\n{NORTH}{NEWS}floor = 0.1', f'name = "b"\n{NORTH}{NEWS}floor = 0.2'), "'news' in two categories of the same"),
    ((f'name = "a"\n{NORTH}{NEWS}floor = 0.5', f'name = "b"\n{NEWS}cap = 0.4'), r"a floor of 0.5 and a cap of 0.4 in 'a' and 'b'"),
    ((f'name = "a"\n{NORTH}{NEWS}floor = 0.7', 'name = "b"\narm.kind = ["film"]\nfloor = 0.4'), "floors of categories that sum to 1.1"),
    ((f'name = "a"\n{NORTH}arms = ["x", "y"]\nfloor = 0.4', 'name = "b"\narms = ["z"]\nfloor = 0.3'), "floors of arms that sum to 1.1"),
    ((f'name = "a"\n{NORTH}arms = ["x"]\nfloor = 0.4', f'name = "b"\n{NORTH}arms = ["x"]\ncap = 0.5'), "two for the arm 'x'"),
])  # fmt: skip
def test_what_contradicts_itself_is_refused_by_name(tables, why):
    with pytest.raises(ValueError, match=why):
        spec(*tables)
