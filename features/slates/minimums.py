"""A least number of slots for some arms of a slate: one news item at least, two of our own, …

A slot offers all arms that are left while there are slots to spare; once the slots that remain are just as many as are
still asked for, it offers the arms that are asked for alone. What is offered is what is drawn from and on record, so
that each propensity is exact, whatever the policy, and no slate misses a minimum."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from croupier.features.schema import InvalidEvent


class Minimum(NamedTuple):
    """At least `slots` slots show one of `arms`. `declared`: what app.toml calls these arms; "" where a request asks
    for them."""

    arms: frozenset[str]
    slots: int
    declared: str = ""


def minimums_of(
    given: Sequence[Mapping[str, Any]], arms: Sequence[str], k: int, declared: Sequence[Minimum] = ()
) -> list[Minimum]:
    """Reads [{"arms": [ids], "slots": number}, …] of a slate of k slots over `arms`, beside those that are `declared`.
    Raises InvalidEvent where one is nothing like that, where the arms offered or the slots are too few, or where two
    ask for the same arm."""
    if isinstance(given, str | Mapping) or not isinstance(given, Sequence):
        raise InvalidEvent("minimums", given, 'a list of {"arms", "slots"}')
    found = [*declared, *(_one(each, place, arms) for place, each in enumerate(given))]
    total, asked = sum(one.slots for one in found), sum(one.slots for one in declared)
    if asked > k:
        raise InvalidEvent("slots", f"{k} in all", f"at least {asked}: [[slates.minimums]] of app.toml ask for so many")
    if total > k:
        beside = f", of which app.toml asks for {asked}" if asked else ""
        raise InvalidEvent("minimums", f"{total} slots in all", f"at most the slate's {k}{beside}")
    if few := next((one for one in declared if len(one.arms) < one.slots), None):
        expected = f"at least {few.slots}, as [[slates.minimums]] of app.toml asks for"
        raise InvalidEvent("arms", f"{len(few.arms)} with {few.declared} that can be shown", expected)
    seen = set[str]()
    for place, one in enumerate(found, start=-len(declared)):
        if twice := seen & one.arms:
            beside = " ([[slates.minimums]] of app.toml have some)" if declared else ""
            raise InvalidEvent(f"minimums[{place}].arms", min(twice), f"an arm that no other minimum has{beside}")
        seen |= one.arms
    return found


def _one(given: Any, place: int, arms: Sequence[str]) -> Minimum:
    where = f"minimums[{place}]"
    if not isinstance(given, Mapping) or given.keys() != {"arms", "slots"}:
        raise InvalidEvent(where, given, '{"arms": [ids], "slots": number}')
    listed, slots = given["arms"], given["slots"]
    if isinstance(listed, str) or not isinstance(listed, Collection) or not all(isinstance(arm, str) for arm in listed):
        raise InvalidEvent(f"{where}.arms", listed, "a list of ids of arms")
    if type(slots) is not int or slots < 1:
        raise InvalidEvent(f"{where}.slots", slots, "a number of slots, 1 or more")
    there = frozenset(listed) & set(arms)
    if len(there) < slots:
        raise InvalidEvent(f"{where}.arms", f"{len(there)} of them offered", f"at least {slots}, one a slot")
    return Minimum(there, slots)


def offers(minimums: Sequence[Minimum], shown: Collection[str], k: int) -> frozenset[str] | None:
    """The arms that the next slot may show; None: any that is left."""
    short = [one for one in minimums if len(one.arms.intersection(shown)) < one.slots]
    asked = sum(one.slots - len(one.arms.intersection(shown)) for one in short)
    return frozenset().union(*(one.arms for one in short)) if asked and asked >= k - len(shown) else None
