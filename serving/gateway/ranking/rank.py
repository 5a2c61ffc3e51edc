"""Personalizer's rank: from its body to a request of ours, and from our answer to its own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson

from croupier.features.ids import uuid7
from croupier.features.schema import InvalidEvent
from croupier.features.slates.so_far import Shown, SlateSoFar
from croupier.serving.contract.requests import CANARY, Raw, Selection, dump, utf8
from croupier.serving.gateway.ranking import actions
from croupier.serving.gateway.ranking.actions import Actions
from croupier.serving.gateway.ranking.features import FeatureRule, KnownNames, flat

FIELDS = frozenset(("contextFeatures", "actions", "excludedActions", "eventId", "deferActivation"))
MAX_EVENT_ID = 256
OUR_NAMES = {"unit_id": "eventId", "event_id": "eventId", "arms": "actions", "arm_context": "actions"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rank:
    """`raw`: the question as the selector takes it, or what JSON cannot carry of it. `named`: the caller gave the
    event's id."""

    raw: Raw | InvalidEvent
    event_id: str
    actions: Actions
    deferred: bool
    named: bool

    def below(self, above: Sequence[Shown], slots: int) -> "Rank":
        """As the next slot of a page of so many, below these actions."""
        if isinstance(self.raw, InvalidEvent):
            return self
        return replace(self, raw=replace(self.raw, slate=SlateSoFar.of(slots, above).to_json().encode()))

    def listed(self, name: str) -> Shown:
        """One of the actions that could be chosen, as the question lists it: its id, or what the request brings."""
        arms = [] if isinstance(self.raw, InvalidEvent) or b"{" not in self.raw.arms else orjson.loads(self.raw.arms)
        return next((each for each in arms if isinstance(each, dict) and each["id"] == name), name)

    def answer(self, chosen: Selection) -> dict[str, Any]:
        """Every action with its probability: the chosen first, the others by falling probability, those that could not
        be chosen last, with 0. Only the first is a decision, and its probability is the propensity on record."""
        mass = dict(zip(self.actions.asked, chosen.pmf, strict=True))
        order = sorted(mass, key=mass.__getitem__, reverse=True)  # stable: equal ones stay in the caller's order
        order.remove(chosen.arm)
        order.insert(0, chosen.arm)
        if len(order) < len(self.actions.names):
            order += [name for name in self.actions.names if name not in mass]
        ranking = [{"id": name, "probability": mass.get(name, 0.0)} for name in order]
        return {"ranking": ranking, "eventId": chosen.event_id, "rewardActionId": chosen.arm}

    def renamed(self, said: str) -> str:
        """A refusal by our names of fields, by Personalizer's."""
        field, found, rest = said.partition(": found ")
        if field.startswith(("arm_context[", "arms[")):
            place, _, name = field.partition("[")[2].partition("]")
            where = ".features" if field.startswith("arm_context[") else ""
            field = f"actions[{self.actions.places[int(place)]}]{where}{name}"
        elif field == "context" or field.startswith("context."):
            field = "contextFeatures" + field.removeprefix("context")
        else:
            field = OUR_NAMES.get(field, field)
        return field + found + rest


def read(
    body: Mapping[str, Any], known: KnownNames, rule: FeatureRule, *, app: str, fresh: str = "", unit: str = ""
) -> Rank:
    """Raises InvalidEvent naming the field. A rank names no unit: each event is one of its own, as in logs of
    Personalizer that are imported, so the share of a rollout is one of events. `fresh`: the id of an event that has
    none, else one is made. `unit`: that of a page of several."""
    if unknown := body.keys() - FIELDS:
        name = min(unknown)
        raise InvalidEvent(name[:80], body[name], f"a field of a rank: {', '.join(sorted(FIELDS))}")
    named, event_id = _event_id(body.get("eventId"), fresh)
    listed = actions.read(body.get("actions"), body.get("excludedActions"), known, rule, app=app)
    context = rule.context(flat(body.get("contextFeatures"), "contextFeatures"), known)
    return Rank(
        raw=_raw(unit or event_id, context, listed, event_id),
        event_id=event_id,
        actions=listed,
        deferred=_flag(body.get("deferActivation")),
        named=named,
    )


def _raw(unit: str, context: Mapping[str, Any], listed: Actions, event_id: str) -> Raw | InvalidEvent:
    """Returns the request as JSON, its arms encoded once for all who send one list, or what JSON cannot carry."""
    arms, pairs = listed.arms, listed.pairs
    try:
        sent = utf8("unit_id", unit), dump("context", context), utf8("event_id", event_id)
    except InvalidEvent as error:
        return error
    if isinstance(arms, InvalidEvent) or isinstance(pairs, InvalidEvent):
        return arms if isinstance(arms, InvalidEvent) else pairs  # type: ignore[return-value]
    return Raw(sent[0], sent[1], arms, pairs, sent[2])


def _event_id(given: object, fresh: str) -> tuple[bool, str]:
    """(whether the caller named the event, its id)."""
    if given is None or given == "":
        return False, fresh or uuid7()
    if not isinstance(given, str) or len(given) > MAX_EVENT_ID:
        raise InvalidEvent("eventId", given, f"a string of at most {MAX_EVENT_ID} characters")
    return True, no_event_of_ours(given)


def no_event_of_ours(event_id: str) -> str:
    """The id. Raises InvalidEvent for one that no event of a caller has: of spaces alone, or the gateway's own."""
    if event_id == CANARY or event_id.isspace():
        raise InvalidEvent("eventId", event_id, "an id with more in it than spaces, none of ours")
    return event_id


def _flag(given: object) -> bool:
    if given is not None and not isinstance(given, bool):
        raise InvalidEvent("deferActivation", given, "true or false")
    return bool(given)
