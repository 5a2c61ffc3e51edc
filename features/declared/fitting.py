"""Whether the policies of app.toml can do what it declares: read before anything runs."""

import re
from collections.abc import Iterable, Sequence

from croupier.features.declared.policies import PoliciesSpec
from croupier.features.schema import FROM_REQUEST
from croupier.features.spec_values import OF_REQUESTS, AllocationSpec, SafetySpec

ALLOCATING = ("uniform", "lin_ts", "neural_linear")  # policies that allocate (models/allocation)
UNIFORM = "uniform"  # the baseline that is no arm
BOUNDED = ("lin_ts", "lin_ucb", "neural_linear", "demand_ts")  # policies that bound an arm's worth (models/bayesian)


def check(policies: PoliciesSpec, allocation: AllocationSpec, safety: SafetySpec) -> None:
    """Raises ValueError naming the entry, the candidates that cannot do it, and those that can."""
    candidates = () if policies.auto else policies.candidates  # `auto` chooses among those that can
    if safety.never_dominated:
        if odd := sorted(set(candidates) - set(BOUNDED)):
            expected = f"policies that bound what an arm is worth: {_listed(BOUNDED)}"
            raise ValueError(f"safety.never_dominated: found candidates {', '.join(odd)}, expected {expected}")
        if allocation.declared:
            raise ValueError("safety.never_dominated: found it beside [allocation], expected one of them")
    if allocation.declared and (odd := sorted(set(candidates) - set(ALLOCATING))):
        expected = f"policies whose posterior can be drawn from, since [allocation] is declared: {_listed(ALLOCATING)}"
        raise ValueError(f"policies.candidates: found {', '.join(odd)}, expected {expected}")
    if allocation.declared and policies.toward_candidate:
        expected = "0 beside [allocation]: whole allocations are explored uniformly"
        raise ValueError(f"policies.toward_candidate: found {policies.toward_candidate:g}, expected {expected}")
    if policies.fast_loop and allocation.rewards == OF_REQUESTS:
        expected = "false: a reward of a whole request is learnt by trainings, from all of its items"
        raise ValueError(f"policies.fast_loop: found true with allocation.rewards = 'request', expected {expected}")


def check_conservative(safety: SafetySpec, *, lowest: float, source: str, allocates: bool) -> None:
    """Raises ValueError where the promise of `safety.conservative` would not hold, or is not made: `lowest` reward of
    the range, `source` of the arms, whether [allocation] is declared."""
    if not safety.conservative:
        if safety.baseline != UNIFORM:
            found = f"found {safety.baseline!r} without safety.conservative"
            raise ValueError(f"safety.baseline: {found}, expected both, or none: conservative = 0.1, for example")
        return
    if safety.never_dominated:
        found = "found it beside never_dominated, which leaves arms out that the baseline may choose"
        raise ValueError(f"safety.conservative: {found}, expected one of them")
    if allocates:
        raise ValueError("safety.conservative: found it beside [allocation], expected one of them")
    if lowest < 0:
        found = f"found reward.range from {lowest:g} on"
        raise ValueError(f"safety.conservative: {found}, expected 0 or above: a part of a loss is no promise")
    if safety.baseline != UNIFORM and not release_of(safety.baseline) and source == FROM_REQUEST:
        found = f"found arm {safety.baseline!r} with arms.source = 'request'"
        raise ValueError(f"safety.baseline: {found}, expected 'uniform': requests bring arms of their own")


def release_of(baseline: str) -> int:
    """The number in "release 12"; 0 where a baseline is no release."""
    found = re.fullmatch(r"release ([1-9]\d{0,8})", baseline)
    return int(found[1]) if found else 0


def allowed(names: Iterable[str], allocation: AllocationSpec, safety: SafetySpec) -> list[str]:
    """Returns those of the policies that can do what app.toml declares."""
    return [
        name
        for name in names
        if (name in ALLOCATING or not allocation.declared) and (name in BOUNDED or not safety.never_dominated)
    ]


def _listed(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}"
