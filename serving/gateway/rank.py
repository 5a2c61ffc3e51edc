"""Personalizer's rank: from its body to a request of ours, and from our answer to its own."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from croupier.features.ids import uuid7
from croupier.features.schema import MAX_ARMS, Arm, InvalidEvent
from croupier.serving.contract.inline_arms import AskedArm, ids
from croupier.serving.contract.requests import CANARY, Request, Selection
from croupier.serving.gateway.features import FeatureRule, KnownNames, flat

FIELDS = frozenset(("contextFeatures", "actions", "excludedActions", "eventId", "deferActivation"))
MAX_EVENT_ID = 256
OUR_NAMES = {"unit_id": "eventId", "event_id": "eventId", "arms": "actions", "arm_context": "actions"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rank:
    """`actions`: every id, as listed; `places`: of the request's arms among them. `named`: the caller gave the id."""

    request: Request
    actions: tuple[str, ...]
    places: tuple[int, ...]
    deferred: bool
    named: bool

    def answer(self, chosen: Selection) -> dict[str, Any]:
        """Every action with its probability: the chosen first, the others by falling probability, those that could not
        be chosen last, with 0. Only the first is a decision, and its probability is the propensity on record."""
        mass = dict(zip(ids(self.request.arms), chosen.pmf, strict=True))
        order = sorted(self.actions, key=lambda a: (a != chosen.arm, a not in mass, -mass.get(a, 0.0)))
        ranking = [{"id": a, "probability": mass.get(a, 0.0)} for a in order]
        return {"ranking": ranking, "eventId": chosen.event_id, "rewardActionId": chosen.arm}

    def renamed(self, said: str) -> str:
        """A refusal by our names of fields, by Personalizer's."""
        field, found, rest = said.partition(": found ")
        if field.startswith(("arm_context[", "arms[")):
            place, _, name = field.partition("[")[2].partition("]")
            where = ".features" if field.startswith("arm_context[") else ""
            field = f"actions[{self.places[int(place)]}]{where}{name}"
        elif field == "context" or field.startswith("context."):
            field = "contextFeatures" + field.removeprefix("context")
        else:
            field = OUR_NAMES.get(field, field)
        return field + found + rest


def read(body: Mapping[str, Any], known: KnownNames, rule: FeatureRule, *, app: str, unit: str = "") -> Rank:
    """Raises InvalidEvent naming the field. A rank names no unit: each event is one of its own, as in logs of
    Personalizer that are imported, so the share of a rollout is one of events. `unit`: that of a page of several."""
    if unknown := body.keys() - FIELDS:
        name = min(unknown)
        raise InvalidEvent(name[:80], body[name], f"a field of a rank: {', '.join(sorted(FIELDS))}")
    named, event_id = _event_id(body.get("eventId"))
    actions, excluded = _actions(body.get("actions")), _excluded(body.get("excludedActions"))
    arms, pairs, places = list[AskedArm](), list[dict[str, Any]](), list[int]()
    for i, action in enumerate(actions):
        asked, pair = _asked(action, i, known, rule, app)
        if action["id"] not in excluded:
            arms.append(asked)
            pairs.append(pair)
            places.append(i)
    if not arms:
        raise InvalidEvent("excludedActions", sorted(excluded), "at least one action that is not excluded")
    context = rule.context(flat(body.get("contextFeatures"), "contextFeatures"), known)
    return Rank(
        request=Request(
            unit_id=unit or event_id,
            context=context,
            arms=arms,
            arm_context=pairs if any(pairs) else (),
            event_id=event_id,
        ),
        actions=tuple(action["id"] for action in actions),
        places=tuple(places),
        deferred=_flag(body.get("deferActivation")),
        named=named,
    )


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


def _event_id(given: object) -> tuple[bool, str]:
    """(whether the caller named the event, its id)."""
    if given is None or given == "":
        return False, uuid7()
    if not isinstance(given, str) or len(given) > MAX_EVENT_ID or given == CANARY:
        raise InvalidEvent("eventId", given, f"a string of at most {MAX_EVENT_ID} characters, none of ours")
    return True, given


def _actions(given: object) -> list[dict[str, Any]]:
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


def _flag(given: object) -> bool:
    if given is not None and not isinstance(given, bool):
        raise InvalidEvent("deferActivation", given, "true or false")
    return bool(given)
