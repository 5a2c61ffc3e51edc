"""Whether rules and constraints fit the features that app.toml declares, and one another: read before anything runs."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from croupier.features.declared.condition import Condition, misfit
from croupier.features.declared.constraint import ConstraintSpec
from croupier.features.declared.feature import Feature
from croupier.features.declared.rule import RuleSpec
from croupier.features.schema import FROM_CATALOGUE

Features = Mapping[str, Feature]


def check(rules: Sequence[RuleSpec], constraints: Sequence[ConstraintSpec], context: Features, arm: Features) -> None:
    """Raises ValueError naming the first rule or constraint that speaks of what is not declared, or contradicts
    another."""
    for what, named in (("rules", rules), ("constraints", constraints)):
        twice = [name for name, n in Counter(each.name for each in named).items() if n > 1]
        if twice:
            raise ValueError(f"{what}: found two of the name {twice[0]!r}, expected names of their own")
    prices = Counter(name for one in constraints for name in one.priced)
    if twice := [name for name, n in prices.items() if n > 1]:
        raise ValueError(f"constraints: found two prices of the name {twice[0]!r}, expected names that tell them apart")
    for rule in rules:
        _declared(f"rules {rule.name!r}: when", rule.when, "context", context)
        _declared(f"rules {rule.name!r}: arm", rule.arm, "arm", arm)
    for one in constraints:
        _declared(f"constraints {one.name!r}: arm", one.arm, "arm", arm)
        if one.cost and (one.cost not in arm or arm[one.cost].type != "numeric"):
            numbers = ", ".join(sorted(name for name, each in arm.items() if each.type == "numeric")) or "none is"
            raise ValueError(f"constraints {one.name!r}: found cost {one.cost!r}, expected a numeric [arm]: {numbers}")
    limits = [one for one in constraints if one.kind == "limit"]
    _apart([one for one in limits if one.arm])
    _once(limits)
    _reachable([one for one in constraints if one.kind == "exposure"])


def check_served(
    rules: Sequence[RuleSpec], constraints: Sequence[ConstraintSpec], source: str, *, allocates: bool
) -> None:
    """Raises ValueError where they would not hold: of arms that come from elsewhere than a catalogue (`source`), and of
    requests to allocate."""
    if source != FROM_CATALOGUE and any(one.arm or one.cost for one in constraints):
        found = f"categories or costs with arms.source = {source!r}"
        raise ValueError(f"constraints: found {found}, expected those of ids: the others are read off the catalogue")
    if allocates and (rules or constraints):
        raise ValueError(
            "allocation: found it declared beside [[rules]] or [[constraints]], which do not hold for requests to "
            "allocate; expected one of them, or an app for each"
        )


def _declared(where: str, conditions: Mapping[str, Condition], scope: str, features: Features) -> None:
    for name, condition in conditions.items():
        if name not in features:
            there = ", ".join(sorted(features)) or "none is"
            raise ValueError(f"{where}: found {name}, expected a feature declared in [{scope}.NAME]: {there}")
        if why := misfit(condition, features[name]):
            raise ValueError(f"{where}.{name}: {why}")


def _apart(categories: Sequence[ConstraintSpec]) -> None:
    """Categories that share arms have no pmf of their own: one feature tells all of them apart, by other values."""
    names = sorted({name for one in categories for name in one.arm})
    if len(names) > 1:
        raise ValueError(
            f"constraints: found categories by {' and '.join(names)}, expected one feature for all of them: arms may "
            "be of one category only"
        )
    values = Counter(value for one in categories for condition in one.arm.values() for value in _values(condition, one))
    if twice := [value for value, n in values.items() if n > 1]:
        raise ValueError(f"constraints: found {twice[0]!r} in two categories, expected each value in one")


def _values(condition: Condition, one: ConstraintSpec) -> Iterable[object]:
    if not isinstance(condition, tuple):
        raise ValueError(f"constraints {one.name!r}: found an interval, expected a list of values of a category")
    return condition


def _reachable(exposures: Sequence[ConstraintSpec]) -> None:
    """Groups may overlap, so their floors may sum to more than 1 only where an arm is in several."""
    ids = Counter(arm for one in exposures for arm in one.arms)
    if max(ids.values(), default=1) == 1 and (total := sum(one.floor for one in exposures if one.arms)) > 1 + 1e-9:
        raise ValueError(f"constraints: found exposure floors that sum to {total:g}, expected at most 1")


def _once(constraints: Sequence[ConstraintSpec]) -> None:
    """An arm has one floor and one cap, and floors leave room for all."""
    ids = Counter(arm for one in constraints for arm in one.arms)
    if twice := [arm for arm, n in ids.items() if n > 1]:
        raise ValueError(f"constraints: found two for the arm {twice[0]!r}, expected one with its floor and cap")
    floors = sum(one.floor * max(len(one.arms), 1) for one in constraints if one.arms)
    together = sum(one.floor for one in constraints if one.arm)
    for what, total in (("arms", floors), ("categories", together)):
        if total > 1 + 1e-9:
            raise ValueError(f"constraints: found floors of {what} that sum to {total:g}, expected at most 1")
