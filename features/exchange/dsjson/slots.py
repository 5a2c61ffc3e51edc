"""A line of several slots (VW's CCB, Personalizer's multi-slot) as decisions, one a slot.

    {"c": {…, "_multi": [actions], "_slots": [{"_id": …, features}, …]},
     "_outcomes": [{"_id": …, "_label_cost": -1, "_a": [1, 0, 2], "_p": [0.8, 0.1, 0.1]}, …]}

`_a` counts from 0 and has what was left for that slot, the shown action first; `_p` is its conditional probability, so
each slot is a decision of its own over the actions that were left, in the order of `_multi`: an order that begins with
what was shown would tell the draw. The slot's features and its place are context; the slots of a line have one unit,
since what is shown together is no independent evidence.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from croupier.features.exchange.cells import missing
from croupier.features.exchange.dsjson.line import objects
from croupier.features.schema import InvalidEvent

SLOT, PLACE = "Slot", "place"


def has_slots(line: Mapping[str, Any]) -> bool:
    """True for a line of several slots."""
    return "_slots" in line["c"] or "_outcomes" in line


def slots(line: Mapping[str, Any], name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields each slot's event id and the line that a single decision would have had. `name`: the line's, where it has
    no EventId. Raises InvalidEvent where slots and outcomes do not fit."""
    context, outcomes = line["c"], line.get("_outcomes")
    declared, actions = context.get("_slots", []), context.get("_multi")
    if not isinstance(outcomes, list) or not isinstance(declared, list) or not isinstance(actions, list):
        raise InvalidEvent("_outcomes", outcomes, "a list beside the lists c._slots and c._multi")
    if declared and len(declared) != len(outcomes):
        raise InvalidEvent("_outcomes", f"{len(outcomes)} of them", f"one for each of {len(declared)} slots")
    whole = str(name if missing(line.get("EventId")) else line["EventId"])
    own = {"unit_id": whole} | objects("Croupier", line.get("Croupier", {}))
    shared = {k: v for k, v in context.items() if k not in ("_slots", "_multi")}
    for place, outcome in enumerate(outcomes):
        found, slot = objects("_outcomes", outcome), objects("_slots", declared[place] if declared else {})
        event = _event(line, whole, next((o["_id"] for o in (found, slot) if not missing(o.get("_id"))), place))
        left = _left(found, len(actions))
        order = sorted(left)
        features = {k: v for k, v in slot.items() if not k.startswith("_")}
        single = {k: v for k, v in line.items() if k not in ("c", "_outcomes", "a", "p", "_a", "_p")}
        yield event, single | found | {
            "EventId": event, "_labelIndex": order.index(left[0]), "_label_probability": found["_p"][0],
            "_p": found["_p"], "_a": [order.index(i) + 1 for i in left], "Croupier": own,
            "c": shared | {SLOT: features | {PLACE: place}, "_multi": [actions[i] for i in order]},
        }  # fmt: skip


def _event(line: Mapping[str, Any], whole: str, slot: Any) -> str:
    """Slot `top` of page `p` is event `p/top`, as the gateway names it, since all pages may have a slot of that name.
    Where a line has no EventId, VW's `_id` is the event's own, and in our exports it always is."""
    named = isinstance(slot, str) and (missing(line.get("EventId")) or slot.startswith(f"{whole}/"))
    return slot if named else f"{whole}/{slot}"


def _left(outcome: Mapping[str, Any], n: int) -> list[int]:
    """The actions that a slot could show, the shown one first."""
    left, p = outcome.get("_a"), outcome.get("_p")
    places = isinstance(left, list) and all(type(i) is int and 0 <= i < n for i in left)
    if not (places and left and isinstance(p, list) and len(p) == len(left)):
        raise InvalidEvent("_a", left, f"places in c._multi, 0 to {n - 1}, each with its probability in _p")
    return list(left)
