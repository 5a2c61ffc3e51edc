"""What app.toml's rules and constraints mean for the arms that there are: in sentences, and what is wrong with them."""

from collections.abc import Container, Iterator, Mapping, Sequence

from croupier.features.declared.condition import Between, Condition, holds
from croupier.features.declared.constraint import ALIKE, ConstraintSpec
from croupier.features.declared.fitting import UNIFORM, release_of
from croupier.features.declared.pricing import most_units
from croupier.features.declared.rule import RuleSpec
from croupier.features.encoding.inline import rows_of_arms
from croupier.features.pricing.prices import Prices
from croupier.features.schema import FROM_CATALOGUE, Arm
from croupier.features.slates.held import likeness_of
from croupier.features.spec import AppSpec
from croupier.features.spec_values import MinimumSpec
from croupier.models.constraints.held import DecisionLimits
from croupier.models.constraints.long_run import refuse_costs
from croupier.serving.constraints.together import contradiction

MOST_NAMED = 5  # arms of one sentence


def sentences(spec: AppSpec, arms: Sequence[Arm]) -> list[str]:
    """One sentence a rule and a constraint, for people."""
    rows = dict(zip([arm.arm_id for arm in arms], rows_of_arms(spec, arms), strict=True))
    ruled = [f"rule {rule.name}: {_when(rule)}, {_named(_of_rule(rule, rows))} left out" for rule in spec.rules]
    ruled += [f"constraint {one.name}: {_limited(one, _of_constraint(one, rows))}" for one in spec.constraints]
    ruled += [_unstoppable(one) for one in spec.constraints if rows and _costs_always(one, rows)]
    ruled += [
        f"slates: of every slate at least {one.least} slot{'' if one.least == 1 else 's'} "
        f"with {one.feature} = {one.value!r}, {_named(_of_minimum(one, rows))}"
        for one in spec.slates.minimums
    ]
    if spec.slates.diversity:
        names, width = likeness_of(spec)
        costs = f"costs up to {spec.slates.diversity * width:g} of its score, by {', '.join(names)}"
        ruled.append(f"slates: an arm's likeness to the arms above it {costs}")
    if spec.safety.conservative:
        ruled.append(_promised(spec))
    ruled += Prices(spec.pricing, rows).sentences()
    safe = f"with {spec.safety.confidence:g} confidence in all bounds of a request"
    said = f"safety: no candidate is drawn that is worth less than another one, {safe}; those with a floor are"
    return [*ruled, said] if spec.safety.never_dominated else ruled


def problems(spec: AppSpec, arms: Sequence[Arm]) -> list[str]:
    """What is wrong with them for these arms, a sentence each."""
    rows = dict(zip([arm.arm_id for arm in arms], rows_of_arms(spec, arms), strict=True))
    found = list(_unknown(spec, rows)) if spec.arms.source == FROM_CATALOGUE else []
    always = {arm for rule in spec.rules if not rule.when for arm in _of_rule(rule, rows)}
    if rows and always >= set(rows):
        found.append("rules: found that rules without `when` leave out every arm, expected one at least to choose")
    for one in spec.constraints:
        if (mine := set(_of_constraint(one, rows))) and one.floor and mine <= always:
            found.append(f"constraints {one.name!r}: found that rules without `when` leave out all of its arms")
    rest = {arm: row for arm, row in rows.items() if arm not in always}
    found += _unknown_baseline(spec, rows, always) if spec.arms.source == FROM_CATALOGUE else []
    found += _short(spec, rest) if spec.arms.source == FROM_CATALOGUE else []
    found += _impossible(spec, arms, rest) if rest else []
    found += Prices(spec.pricing, rows).problems(
        spec.reward.range, most_units(spec.pricing, spec.reward.kinds.values())
    )
    return found


def _impossible(spec: AppSpec, arms: Sequence[Arm], rest: Mapping[str, Mapping[str, object]]) -> Iterator[str]:
    """What no policy can keep, where requests list all arms that the rules leave."""
    try:
        refuse_costs(spec.constraints, rest)
    except ValueError as error:
        yield f"constraints: {error}"
    try:
        DecisionLimits.declared(spec, arms).refuse_all_infeasible(tuple(rest))
    except ValueError as error:
        yield f"constraints: a request for all arms would be refused: {error}"
        return
    known = [(_of_constraint(one, rest), one) for one in spec.constraints if _of_all(one)]
    shares = {one.name: (mine, one) for mine, one in known if mine}
    if names := contradiction(shares, list(rest)):
        yield (
            f"constraints: found that no share of decisions keeps {' and '.join(map(repr, names))} together; "
            "lower a floor, or raise a cap"
        )


def _short(spec: AppSpec, rest: Mapping[str, Mapping[str, object]]) -> Iterator[str]:
    """The minimums that no slate can keep: too few arms that the rules leave are of a category."""
    for one in spec.slates.minimums:
        if (there := len(_of_minimum(one, rest))) < one.least:
            yield (
                f"slates.minimums {one.feature} = {one.value!r}: found {there} arm{'' if there == 1 else 's'} in "
                f"catalogue.json that can be shown, expected at least {one.least}: every slate would be refused"
            )


def _of_all(one: ConstraintSpec) -> bool:
    """True if its shares are of all requests, so that others may contradict it."""
    return one.kind in ("limit", "exposure") and not one.when


def _unknown(spec: AppSpec, rows: Mapping[str, Mapping[str, object]]) -> Iterator[str]:
    """Rules and constraints about arms that the catalogue does not have."""
    named: list[tuple[str, RuleSpec | ConstraintSpec]] = [("rules", rule) for rule in spec.rules]
    named += [("constraints", one) for one in spec.constraints]
    for what, one in named:
        if missing := [arm for arm in one.arms if arm not in rows]:
            yield f"{what} {one.name!r}: found {_list(missing)}, expected ids of arms in catalogue.json"
        of = _of_rule(one, rows) if isinstance(one, RuleSpec) else _of_constraint(one, rows)
        if not one.arms and not of:
            yield f"{what} {one.name!r}: found no arm in catalogue.json that it is about, expected one at least"


def _promised(spec: AppSpec) -> str:
    safety = spec.safety
    return (
        f"safety: the running value of all decisions is never below {1 - safety.conservative:g} of what "
        f"{'a uniform choice' if safety.baseline == UNIFORM else safety.baseline} would have earned, with probability "
        f"{safety.confidence:g}; the policy has {safety.conservative:g} of each decision, and more as the log allows"
    )


def _unknown_baseline(spec: AppSpec, rows: Mapping[str, Mapping[str, object]], always: Container[str]) -> Iterator[str]:
    """A baseline that could never be chosen."""
    arm = spec.safety.baseline
    if not spec.safety.conservative or arm == UNIFORM or release_of(arm) or not rows:
        return
    if arm not in rows:
        yield f"safety.baseline: found {arm!r}, expected 'uniform', 'release N', or the id of an arm in catalogue.json"
    elif arm in always:
        yield f"safety.baseline: found {arm!r}, which rules without `when` leave out, expected an arm that is shown"


def _of_rule(rule: RuleSpec, rows: Mapping[str, Mapping[str, object]]) -> list[str]:
    return [arm for arm, row in rows.items() if rule.concerns(arm, row)]


def _of_constraint(one: ConstraintSpec, rows: Mapping[str, Mapping[str, object]]) -> list[str]:
    if one.kind == "exploration":
        return list(rows)
    if one.kind == "spend":
        return [arm for arm, row in rows.items() if row.get(one.cost)]
    return [arm for arm, row in rows.items() if (arm in one.arms if one.arms else one.concerns(row))]


def _of_minimum(one: MinimumSpec, rows: Mapping[str, Mapping[str, object]]) -> list[str]:
    return [arm for arm, row in rows.items() if holds((one.value,), row.get(one.feature))]


def asked(when: Mapping[str, Condition]) -> str:
    """Conditions in words."""
    return " and ".join(f"{name} is {_condition(each)}" for name, each in when.items())


def _when(rule: RuleSpec) -> str:
    if not rule.when:
        return "in every request"
    missing = "too" if rule.missing == "exclude" else "not"
    return f"where {asked(rule.when)} (where that is not sent: {missing})"


def _condition(condition: Condition) -> str:
    if isinstance(condition, Between):
        ends = (("at least", condition.at_least), ("below", condition.below))
        return " and ".join(f"{word} {end:g}" for word, end in ends if end is not None)
    return " or ".join(map(str, condition))


def _limited(one: ConstraintSpec, arms: list[str]) -> str:
    if one.when:
        return f"where {asked(one.when)}: {_limited(one.model_copy(update={'when': {}}), arms)}"
    if one.kind in ALIKE:
        groups = f"requests of {one.across} {' and '.join(one.groups)}"
        groups += "" if one.kind == "parity" else " that reward these arms"
        return f"{_named(arms)} together, in shares at most {one.tolerance:g} apart between {groups}, in the mean"
    if one.kind == "revenue":
        return f"each of {_named(arms)} earns at least {one.least:g} of reward a decision, in the mean of all decisions"
    if one.kind == "exploration":
        return f"in each decision, each of its K candidates with probability at least {one.floor:g}/K"
    if one.kind == "spend":
        return f"at most {one.budget:g} a day (UTC) of {one.cost}, which {_named(arms)} cost when they are shown"
    if one.kind == "exposure":
        return f"{_named(arms)} together {_share(one)} of all decisions, in the mean, by a price that turns move"
    of = f"each of {_named(arms)}" if one.arms else f"{_named(arms)} together"
    return f"in each decision that lists them, {of} with probability {_share(one)}"


def _costs_always(one: ConstraintSpec, rows: Mapping[str, Mapping[str, object]]) -> bool:
    return one.kind == "spend" and len(_of_constraint(one, rows)) == len(rows)


def _unstoppable(one: ConstraintSpec) -> str:
    what = "each arm costs something, so that a request for these arms alone is answered when the budget is spent, too"
    return f"constraint {one.name}: {what}; an arm that costs 0 makes the budget firm"


def _share(one: ConstraintSpec) -> str:
    parts = [f"at least {one.floor:g}"] if one.floor else []
    parts += [f"at most {one.cap:g}"] if one.cap < 1 else []
    return " and ".join(parts)


def _named(arms: list[str]) -> str:
    return f"{len(arms)} arm{'' if len(arms) == 1 else 's'} ({_list(arms)})" if arms else "no arm of the catalogue"


def _list(arms: list[str]) -> str:
    return ", ".join(arms[:MOST_NAMED]) + (", …" if len(arms) > MOST_NAMED else "")
