"""Whether rules and constraints fit the features that app.toml declares, and one another: read before anything runs."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations

from croupier.features.declared.condition import Condition, misfit
from croupier.features.declared.constraint import ConstraintSpec
from croupier.features.declared.feature import Feature
from croupier.features.declared.rule import RuleSpec
from croupier.features.declared.segment import RequestSegment
from croupier.features.schema import FROM_CATALOGUE
from croupier.features.spec_values import SlatesSpec

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
        _declared(f"constraints {one.name!r}: when", one.when, "context", context)
        _declared(f"constraints {one.name!r}: arm", one.arm, "arm", arm)
        if one.across:
            _declared(f"constraints {one.name!r}: across", {one.across: one.groups}, "context", context)
        if one.cost and (one.cost not in arm or arm[one.cost].type != "numeric"):
            numbers = ", ".join(sorted(name for name, each in arm.items() if each.type == "numeric")) or "none is"
            raise ValueError(f"constraints {one.name!r}: found cost {one.cost!r}, expected a numeric [arm]: {numbers}")
    limits = [one for one in constraints if one.kind == "limit"]
    _apart([one for one in limits if one.arm])
    for segment in dict.fromkeys(RequestSegment.of(one.when) for one in limits):
        _once([one for one in limits if RequestSegment.of(one.when) in (None, segment)])
    _compatible(limits)
    _reachable([one for one in constraints if one.kind == "exposure"])
    _capped([one for one in constraints if one.kind == "revenue"], limits)


def check_rewarded(constraints: Sequence[ConstraintSpec], low: float) -> None:
    """Raises ValueError for opportunities where a reward may be below 0: it then does not say whom an arm suits."""
    if low < 0 and (odd := next((one for one in constraints if one.kind == "opportunity"), None)):
        found = f"found kind opportunity with rewards from {low:g} on"
        raise ValueError(f"constraints {odd.name!r}: {found}, expected reward.range to begin at 0 or above")


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


def check_slates(slates: SlatesSpec, arm: Features) -> None:
    """Raises ValueError where minimums of slates are about what is not declared, or about one arm twice: each could be
    kept, and all of them not; and where no feature tells which arms are alike."""
    where = "slates.minimums"
    if slates.diversity and not any(each.type == "categorical" for each in arm.values()):
        found = f"found {slates.diversity:g} without a categorical feature in [arm]"
        raise ValueError(f"slates.diversity: {found}, expected one at least: by it arms are alike or not")
    for one in slates.minimums:
        _declared(where, {one.feature: (one.value,)}, "arm", arm)
        if (kind := arm[one.feature].type) != "categorical":
            raise ValueError(f"{where}: found {one.feature}, a feature of type {kind}, expected a categorical one")
    names = sorted({one.feature for one in slates.minimums})
    if len(names) > 1:
        found = f"categories by {' and '.join(names)}"
        raise ValueError(f"{where}: found {found}, expected one feature for all: arms may be of one category only")
    if twice := [value for value, n in Counter(one.value for one in slates.minimums).items() if n > 1]:
        raise ValueError(f"{where}: found two for {names[0]} = {twice[0]!r}, expected one with its least number")


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
    sets = {frozenset(_values(condition, one)) for one in categories for condition in one.arm.values()}
    if twice := [value for value, n in Counter(value for each in sets for value in each).items() if n > 1]:
        raise ValueError(f"constraints: found {twice[0]!r} in two categories, expected each value in one")
    same = Counter((one.category, RequestSegment.of(one.when)) for one in categories)
    if again := [category for (category, _), n in same.items() if n > 1]:
        named = ", ".join(map(str, again[0]))
        raise ValueError(f"constraints: found {named!r} in two categories of the same requests, expected one")


def _values(condition: Condition, one: ConstraintSpec) -> Iterable[object]:
    if not isinstance(condition, tuple):
        raise ValueError(f"constraints {one.name!r}: found an interval, expected a list of values of a category")
    return condition


def _reachable(exposures: Sequence[ConstraintSpec]) -> None:
    """Groups may overlap, so their floors may sum to more than 1 only where an arm is in several."""
    for segment in dict.fromkeys(RequestSegment.of(one.when) for one in exposures):
        mine = [one for one in exposures if one.arms and RequestSegment.of(one.when) == segment]
        ids = Counter(arm for one in mine for arm in one.arms)
        if max(ids.values(), default=1) == 1 and (total := sum(one.floor for one in mine)) > 1 + 1e-9:
            raise ValueError(f"constraints: found exposure floors that sum to {total:g}, expected at most 1")


def _capped(revenues: Sequence[ConstraintSpec], limits: Sequence[ConstraintSpec]) -> None:
    """An arm that cannot earn what it is guaranteed has the highest price: a cap says what share it may then have."""
    capped = {arm for one in limits for arm in one.arms if one.cap < 1 and not one.when}
    for one in revenues:
        if free := [arm for arm in one.arms if arm not in capped]:
            raise ValueError(
                f"constraints {one.name!r}: found no cap of {free[0]}, expected a limit of it with a cap below 1: "
                "an arm that cannot earn so much would be shown to everybody"
            )


def _compatible(limits: Sequence[ConstraintSpec]) -> None:
    """Checks limits that may hold at once for one arm or category: of a segment, and of all requests."""
    for first, second in combinations(limits, 2):
        same = (first.arm and first.category == second.category) or set(first.arms) & set(second.arms)
        low, high = max(first.floor, second.floor), min(first.cap, second.cap)
        if same and low > high:
            raise ValueError(
                f"constraints: found a floor of {low:g} and a cap of {high:g} in {first.name!r} and {second.name!r}, "
                "which may hold for the same request, expected floor ≤ cap"
            )


def _once(constraints: Sequence[ConstraintSpec]) -> None:
    """For the same requests an arm has one floor and one cap, and floors leave room for all: those of a segment's
    constraints, and of the constraints of all requests."""
    ids = Counter((arm, RequestSegment.of(one.when)) for one in constraints for arm in one.arms)
    if twice := [arm for (arm, _), n in ids.items() if n > 1]:
        raise ValueError(f"constraints: found two for the arm {twice[0]!r}, expected one with its floor and cap")
    arms, shares = dict[str, float](), dict[tuple[object, ...], float]()
    for one in constraints:
        arms |= {arm: max(one.floor, arms.get(arm, 0.0)) for arm in one.arms}
        shares |= {one.category: max(one.floor, shares.get(one.category, 0.0))} if one.arm else {}
    for what, total in (("arms", sum(arms.values())), ("categories", sum(shares.values()))):
        if total > 1 + 1e-9:
            raise ValueError(f"constraints: found floors of {what} that sum to {total:g}, expected at most 1")
