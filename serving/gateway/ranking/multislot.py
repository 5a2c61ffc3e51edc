"""Personalizer's multi-slot rank: slot after slot, each a decision over the actions that are left.

    eventId, slots a, b ─▶ event eventId/a over all actions ─▶ event eventId/b over the others ─▶ one answer

Each slot's propensity is exact given the slots before it, so their product is that of the whole page. The events of a
page are of one unit: what is shown together is no independent evidence. As in logs of several slots that are imported
(features/exchange/dsjson/slots.py), a slot's features are context, Slot_NAME, and Slot_place is its place in the order.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from croupier.features.schema import InvalidEvent
from croupier.features.slates.so_far import Shown, SlateSoFar
from croupier.serving.gateway.problems import NOTHING
from croupier.serving.gateway.ranking import rank
from croupier.serving.gateway.ranking.features import FeatureRule, KnownNames, flat
from croupier.serving.gateway.ranking.rank import Rank
from croupier.serving.gateway.ranking.rewards import GivenReward

FIELDS = frozenset(("contextFeatures", "actions", "slots", "eventId", "deferActivation"))
SLOT_FIELDS = frozenset(("id", "features", "excludedActions", "baselineAction"))  # the last is apprentice mode's
MAX_SLOTS = 100
SLOT, PLACE = "Slot_", "Slot_place"


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One question for several slots, checked but for what earlier slots leave to later ones."""

    body: Mapping[str, Any]
    slots: Sequence[Mapping[str, Any]]
    event_id: str
    deferred: bool
    apprentice: bool

    def slot(self, place: int, above: Sequence[Shown], known: KnownNames, rule: FeatureRule, *, app: str) -> Rank:
        """The question for one slot, below those that show these actions. Its first action is the app's own choice
        in apprentice mode: the slot's `baselineAction`. Raises InvalidEvent."""
        slot, shown = self.slots[place], SlateSoFar(k=len(self.slots), above=tuple(above)).shown
        own = {SLOT + name: value for name, value in flat(slot.get("features"), f"slots[{place}].features").items()}
        own |= {PLACE: place} if PLACE in known.context else {}
        left = [action for action in self.body["actions"] if action["id"] not in shown]
        if self.apprentice:
            left.sort(key=lambda action: action["id"] != slot["baselineAction"])
        excluded = slot.get("excludedActions") or []
        if left and all(action["id"] in excluded for action in left):
            expected = f"at least one action that is not excluded and not in a slot before: of {', '.join(shown)[:80]}"
            raise InvalidEvent(f"slots[{place}].excludedActions", excluded, expected)
        body = {
            "contextFeatures": [*(self.body.get("contextFeatures") or ()), own],
            "actions": left,
            "excludedActions": excluded,
            "eventId": slot_event(self.event_id, slot["id"]),
        }
        asked = rank.read(body, known, rule, app=app, unit=self.event_id)
        return asked.below(above, len(self.slots))

    def names(self, place: int) -> dict[str, str]:
        """Our names of a slot's features → its caller's."""
        where = f"slots[{place}].features"
        return {
            f"contextFeatures.{SLOT}{name}": f"{where}.{name}"
            for name in flat(self.slots[place].get("features"), where)
        }


def slot_event(event_id: str, slot_id: str) -> str:
    """The event of one slot."""
    return f"{event_id}/{slot_id}"


def read(body: Mapping[str, Any], known: KnownNames, rule: FeatureRule, *, app: str, apprentice: bool) -> Page:
    """Raises InvalidEvent naming the field."""
    if unknown := body.keys() - FIELDS:
        raise InvalidEvent(min(unknown)[:80], body[min(unknown)], f"a field of a rank: {', '.join(sorted(FIELDS))}")
    _check_event_id(body)
    whole = rank.read({k: v for k, v in body.items() if k != "slots"}, known, rule, app=app)
    slots = _slots(body.get("slots"), len(whole.actions.names))
    _check_baselines(slots, whole.actions.names, apprentice=apprentice)
    event_id = whole.event_id
    room = rank.MAX_EVENT_ID - 1 - len(event_id.encode(errors="replace"))
    for place, slot in enumerate(slots):
        if len(slot["id"].encode(errors="replace")) > room:
            expected = f"at most {room} bytes beside this eventId: a slot's event is eventId/id, of {rank.MAX_EVENT_ID}"
            raise InvalidEvent(f"slots[{place}].id", slot["id"], expected)
    return Page(body=body, slots=slots, event_id=event_id, deferred=whole.deferred, apprentice=apprentice)


def _check_event_id(body: Mapping[str, Any]) -> None:
    """Raises InvalidEvent for an eventId that leaves no room for the ids of its slots."""
    given, slots = body.get("eventId"), body.get("slots")
    if not isinstance(given, str) or not isinstance(slots, list):
        return
    names = [slot["id"] for slot in slots if isinstance(slot, dict) and isinstance(slot.get("id"), str)]
    longest = max(names, key=lambda name: len(name.encode(errors="replace")), default="")
    room = rank.MAX_EVENT_ID - 1 - len(longest.encode(errors="replace"))
    if 0 < room < len(given.encode(errors="replace")):
        expected = f"at most {room} bytes: each slot's event adds / and its id, the longest is {longest[:80]!r}"
        raise InvalidEvent("eventId", given, expected)


def _slots(given: object, actions: int) -> list[dict[str, Any]]:
    """Objects with distinct ids, no more than there are actions."""
    if not isinstance(given, list) or not 0 < len(given) <= min(actions, MAX_SLOTS):
        found = f"{len(given)} of them" if isinstance(given, list) else given
        raise InvalidEvent("slots", found, f'1 to {MAX_SLOTS} objects {{"id", …}}, no more than the {actions} actions')
    seen: set[str] = set()
    for place, slot in enumerate(given):
        if not isinstance(slot, dict) or not slot.keys() <= SLOT_FIELDS:
            raise InvalidEvent(f"slots[{place}]", slot, f"an object of {', '.join(sorted(SLOT_FIELDS))}")
        name = slot.get("id")
        if not isinstance(name, str) or not name or not name.isprintable() or name in seen:
            raise InvalidEvent(f"slots[{place}].id", name, "printable characters, each slot once")
        excluded = slot.get("excludedActions")
        if excluded is not None and not (isinstance(excluded, list) and {str}.issuperset(map(type, excluded))):
            raise InvalidEvent(f"slots[{place}].excludedActions", excluded, "a list of ids of actions")
        baseline = slot.get("baselineAction")
        if baseline is not None and not isinstance(baseline, str):
            raise InvalidEvent(f"slots[{place}].baselineAction", baseline, "the id of an action")
        seen.add(name)
    return given


def _check_baselines(slots: Sequence[Mapping[str, Any]], actions: Collection[str], *, apprentice: bool) -> None:
    """Raises InvalidEvent for a slot whose `baselineAction` is no action, or, in apprentice mode, is not what the app
    shows there: none, one that it excludes, or one that an earlier slot shows. Another action would be logged as the
    app's own choice."""
    taken: dict[str, str] = {}
    for place, slot in enumerate(slots):
        baseline, where = slot.get("baselineAction"), f"slots[{place}].baselineAction"
        if baseline is None and not apprentice:
            continue
        shows = f"the action that the app shows in slot {slot['id'][:80]!r} by itself"
        if baseline is None:
            raise InvalidEvent(where, NOTHING, f"{shows}: in apprentice mode each slot has one")
        if baseline not in actions:
            raise InvalidEvent(where, baseline, f"{shows}, one of actions")
        if apprentice and baseline in (slot.get("excludedActions") or ()):
            raise InvalidEvent(where, baseline, f"{shows}, none of its excludedActions")
        if apprentice and baseline in taken:
            raise InvalidEvent(where, baseline, f"{shows}: slot {taken[baseline][:80]!r} has this one already")
        taken[baseline] = slot["id"]


def rewards(body: Mapping[str, Any], event_id: str) -> list[GivenReward]:
    """What is given to each slot by {"reward": [{"slotId", "value"}, …]}. Raises InvalidEvent."""
    given = body.get("reward")
    if unknown := body.keys() - {"reward"}:
        raise InvalidEvent(min(unknown)[:80], body[min(unknown)], "reward alone")
    if not isinstance(given, list) or not 0 < len(given) <= MAX_SLOTS:
        raise InvalidEvent("reward", given, f'1 to {MAX_SLOTS} objects {{"slotId", "value"}}')
    for i, one in enumerate(given):
        if not isinstance(one, dict) or one.keys() != {"slotId", "value"} or not isinstance(one["slotId"], str):
            raise InvalidEvent(f"reward[{i}]", one, 'an object {"slotId", "value"}')
    return [
        GivenReward(slot_event(event_id, one["slotId"]), one["value"], f"reward[{i}].slotId", f"reward[{i}].value")
        for i, one in enumerate(given)
    ]
