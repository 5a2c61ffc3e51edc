"""A slate is asked for slot after slot: each is a decision of its own, over the arms that no slot above it shows.

    SlateRequest ─▶ event ID/0 over all arms ─▶ event ID/1 over the others ─▶ … ─▶ Slate

So a slot's propensity is exact given the slots above it, their product is the slate's, and each slot is recorded,
rewarded by its own event, learnt from and replayed like any decision. The slots of a slate are of one unit: what is
shown together is no independent evidence."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

from croupier.features.ids import uuid7s
from croupier.features.schema import InvalidEvent
from croupier.features.slates.minimums import minimums_of, offers
from croupier.features.slates.so_far import MAX_SLOTS, SlateSoFar
from croupier.serving.contract.inline_arms import AskedArm
from croupier.serving.contract.requests import Request, Selection

Ask = Callable[[Sequence[Request]], Sequence[Selection]]


@dataclass(frozen=True, slots=True, kw_only=True)
class SlateRequest:
    """Show `unit_id` `k` of `arms`, in order, or as many as there are `slots`: a slot is the features that it adds to
    the context, such as {"place": 0}. `minimums`, [{"arms": [ids], "slots": number}, …]: at least so many slots show
    one of these arms, beside what app.toml asks of every slate. The rest is as in Request; `event_id` names the
    slate."""

    unit_id: str
    context: Mapping[str, Any]
    arms: Sequence[AskedArm]
    slots: Sequence[Mapping[str, Any]] = ()
    arm_context: Sequence[Mapping[str, Any]] = ()
    event_id: str = ""
    k: int = 0
    minimums: Sequence[Mapping[str, Any]] = ()

    @property
    def places(self) -> Sequence[Mapping[str, Any]]:
        """What each slot adds to the context; nothing where `k` asks for them. Raises InvalidEvent where neither `k`
        nor `slots` asks for any, or both do, or not like that."""
        return slots_of(self.k, self.slots)


@dataclass(frozen=True, slots=True, kw_only=True)
class Slate:
    """The answer: show `arms` in this order. Each of `slots` has its event_id, to be rewarded by, and its propensity
    given the slots above it. With `error` set nothing is to be shown."""

    slate_id: str
    slots: tuple[Selection, ...]
    error: str = ""

    @property
    def arms(self) -> tuple[str, ...]:
        """The arms, first slot first."""
        return tuple(slot.arm for slot in self.slots)

    @property
    def propensity(self) -> float:
        """The joint propensity: that of this whole slate."""
        return prod(slot.propensity for slot in self.slots)


def slots_of(k: int, slots: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    """The slots that `k`, or `slots`, asks for. Raises InvalidEvent where neither or both do, or not like that."""
    if k and slots:
        raise InvalidEvent("k", f"{k!r} beside `slots`", "one of them: `slots` says by itself how many there are")
    if not k and not slots:
        raise InvalidEvent("k", k, "a number of slots, or `slots` in its place")
    if not isinstance(k, int) or isinstance(k, bool) or not 0 <= k <= MAX_SLOTS or len(slots) > MAX_SLOTS:
        raise InvalidEvent("k" if k else "slots", k or f"{len(slots)} of them", f"1 to {MAX_SLOTS} slots")
    if not all(isinstance(slot, Mapping) for slot in slots):
        raise InvalidEvent("slots", list(slots), "a list of mappings, one a slot")
    return slots or [{}] * k


def slot_event(slate_id: str, place: int) -> str:
    """The event of one slot, by which it is rewarded."""
    return f"{slate_id}/{place}"


def named(asked: Sequence[SlateRequest]) -> list[SlateRequest]:
    """The requests, each with an event id; one is made where there is none."""
    made = iter(uuid7s(len(asked)))
    return [each if each.event_id else replace(each, event_id=next(made)) for each in asked]


def decided(ask: Ask, asked: Sequence[SlateRequest]) -> list[Slate]:
    """Answers slates that are `named`, by `ask`, which answers decisions in their order: all slates' first slots, then
    their second ones, … A slate with a slot that is refused has that slot's `error`."""
    found: list[list[Selection]] = [[] for _ in asked]
    errors = [error_of(each) for each in asked]
    slots = [() if error else each.places for error, each in zip(errors, asked, strict=True)]
    for place in range(max(map(len, slots), default=0)):
        rows = [i for i, error in enumerate(errors) if not error and place < len(slots[i])]
        if not rows:
            break
        answers = ask([slot_request(asked[i], slots[i][place], [slot.arm for slot in found[i]]) for i in rows])
        for i, selection in zip(rows, answers, strict=True):
            errors[i] = selection.error
            found[i].append(selection)
    return [
        Slate(slate_id=each.event_id, slots=() if error else tuple(chosen), error=error)
        for each, chosen, error in zip(asked, found, errors, strict=True)
    ]


def error_of(asked: SlateRequest) -> str:
    """Why this slate cannot be asked for; "" where it can. What else is wrong with it its slots' requests say."""
    try:
        _check(asked)
    except InvalidEvent as error:
        return str(error)
    return ""


def _check(asked: SlateRequest) -> None:
    slots = asked.places
    if not isinstance(asked.context, Mapping):
        raise InvalidEvent("context", asked.context, "a mapping of declared features")
    if isinstance(asked.arms, str | Mapping) or not hasattr(asked.arms, "__getitem__"):
        raise InvalidEvent("arms", asked.arms, "a list of arms, not one of them")
    if len(asked.arms) < len(slots):
        raise InvalidEvent("arms", f"{len(asked.arms)} of them", f"at least one a slot: {len(slots)}")
    if asked.arm_context and len(asked.arm_context) != len(asked.arms):
        raise InvalidEvent("arm_context", f"{len(asked.arm_context)} objects", f"one per arm: {len(asked.arms)}")
    minimums_of(asked.minimums, names(asked.arms), len(slots))
    for place, slot in enumerate(slots):
        if both := slot.keys() & asked.context.keys():
            name = min(both)
            raise InvalidEvent(f"slots[{place}].{name}", slot[name], "a feature that `context` does not have, too")


def names(arms: Sequence[AskedArm]) -> list[Any]:
    """The ids of arms as they are asked for."""
    return [arm.get("id") if isinstance(arm, Mapping) else arm for arm in arms]


def slot_request(asked: SlateRequest, adds: Mapping[str, Any], shown: Sequence[str]) -> Request:
    """The decision of the next slot of a slate that is named: over the arms that are not `shown`, with the features
    that the slot adds."""
    k, ids = len(asked.places), names(asked.arms)
    some = offers(minimums_of(asked.minimums, ids, k), shown, k) if asked.minimums else None
    kept = [i for i, name in enumerate(ids) if name not in shown and (some is None or name in some)]
    return Request(
        unit_id=asked.unit_id,
        context={**asked.context, **adds},
        arms=[asked.arms[i] for i in kept],
        arm_context=[asked.arm_context[i] for i in kept] if asked.arm_context else (),
        event_id=slot_event(asked.event_id, len(shown)),
        slate=SlateSoFar.of(k, [asked.arms[ids.index(name)] for name in shown], asked.minimums),
    )
