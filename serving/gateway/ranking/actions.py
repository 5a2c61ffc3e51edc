"""The actions of a rank, read: which arms they are, with which features. A list that comes again is read once.

Apps send the same actions with call after call. Known by their bytes, they cost a tenth of being read anew; what is
kept holds for one release, as its names do.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from croupier.features.schema import MAX_ARMS, Arm, InvalidEvent
from croupier.serving.contract.inline_arms import AskedArm
from croupier.serving.contract.requests import dump
from croupier.serving.gateway.ranking.features import FeatureRule, KnownNames, flat


@dataclass(frozen=True, slots=True, kw_only=True)
class Actions:
    """`names`: every id, as listed; `places`: among them, of those that can be chosen, whose ids are `asked`. `arms`
    and `pairs` are what a request brings of these: its JSON, or what JSON cannot carry."""

    names: tuple[str, ...]
    places: tuple[int, ...]
    asked: tuple[str, ...]
    arms: bytes | InvalidEvent
    pairs: bytes | InvalidEvent


def read(given: object, excluded: object, known: KnownNames, rule: FeatureRule, *, app: str) -> Actions:
    """Raises InvalidEvent naming the field. Features that are left out are counted each time, so such lists are read
    each time."""
    raw = _bytes(given, excluded)
    if (found := known.lists.get(raw)) is not None:
        return found
    before = rule.met
    found = _read(given, excluded, known, rule, app)
    if rule.met == before and raw:
        known.lists.keep(raw, found)
    return found


def _bytes(given: object, excluded: object) -> bytes:
    """By what a list is known; nothing where it is too deep to be right."""
    try:
        return orjson.dumps((given, excluded))
    except orjson.JSONEncodeError:
        return b""


def _read(given: object, excluded: object, known: KnownNames, rule: FeatureRule, app: str) -> Actions:
    actions, out = _checked(given), _excluded(excluded)
    asked = [_asked(action, i, known, rule, app) for i, action in enumerate(actions)]
    names = tuple(action["id"] for action in actions)
    places = tuple(i for i, name in enumerate(names) if name not in out)
    if not places:
        raise InvalidEvent("excludedActions", sorted(out), "at least one action that is not excluded")
    pairs = [asked[i][1] for i in places]
    return Actions(
        names=names,
        places=places,
        asked=tuple(names[i] for i in places),
        arms=_json("arms", [asked[i][0] for i in places]),
        pairs=_json("arm_context", pairs) if any(pairs) else b"",
    )


def _json(field: str, value: object) -> bytes | InvalidEvent:
    """A refusal is told, and kept on record, when the request is made."""
    try:
        return dump(field, value)
    except InvalidEvent as error:
        return error


def _asked(
    action: Mapping[str, Any], place: int, known: KnownNames, rule: FeatureRule, app: str
) -> tuple[AskedArm, dict[str, Any]]:
    """(the arm as our request lists it, its features with this request)."""
    where = f"actions[{place}].features"
    given = flat(action.get("features"), where)
    if known.brings(action["id"]):
        pair, own = rule.brought(given, known, where)
        return {"id": action["id"], "features": own}, pair
    return action["id"], rule.pair(given, _arm(action["id"], place, known, app), known, where)


def _checked(given: object) -> Sequence[dict[str, Any]]:
    """Objects with distinct ids."""
    if not isinstance(given, list) or not 0 < len(given) <= MAX_ARMS:
        found = f"{len(given)} of them" if isinstance(given, list) else given
        raise InvalidEvent("actions", found, f'1 to {MAX_ARMS} objects {{"id", "features"}}')
    seen: set[str] = set()
    for i, action in enumerate(given):
        if not isinstance(action, dict) or not action.keys() <= {"id", "features"}:
            raise InvalidEvent(f"actions[{i}]", action, 'an object {"id", "features"}')
        name = action.get("id")
        if not isinstance(name, str) or name in seen:
            raise InvalidEvent(f"actions[{i}].id", name, "a string, each action once")
        seen.add(name)
    return given


def _arm(name: str, place: int, known: KnownNames, app: str) -> Arm:
    found = known.arms.get(name)
    if found is None:
        raise InvalidEvent(
            f"actions[{place}].id",
            name,
            f"an arm of release {known.release}: `croupier arm add ID --app {app}` adds it to the catalogue, and with "
            "[arms] source in app.toml requests may bring arms along",
        )
    return found


def _excluded(given: object) -> frozenset[str]:
    """Ids that may not be chosen; one that is no action of this call excludes nothing."""
    if given is None:
        return frozenset()
    if not isinstance(given, list) or not {str}.issuperset(map(type, given)):
        raise InvalidEvent("excludedActions", given, "a list of ids of actions")
    return frozenset(given)
