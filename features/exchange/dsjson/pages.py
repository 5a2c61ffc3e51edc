"""Decisions of several slots as VW's CCB writes them, one line a page: what slots.py reads.

A page's events are PAGE/SLOT, of one unit, and Slot_place in the context counts them from 0. VW has one set of features
an action: a page whose slots say different things of one, or lack one of them, is written as decisions of their own.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
import polars as pl

from croupier.features.exchange.dsjson.slots import PLACE, SLOT
from croupier.features.schema import Decision

PREFIX = f"{SLOT}_"


def page_of(decision: Decision) -> str:
    """The page that a decision is of, with its unit; "" where it is one by itself."""
    page, slash, _ = decision.event_id.rpartition("/")
    return f"{decision.unit_id}/{page}" if slash and type(decision.context.get(PREFIX + PLACE)) is int else ""


def pages(interactions: pl.DataFrame) -> dict[str, list[int]]:
    """The rows of each whole page in order of its slots."""
    found: dict[str, dict[int, int]] = {}
    contexts: dict[str, bytes] = {}
    some = interactions.with_row_index("row").filter(pl.col("event_id").str.contains("/", literal=True))
    for row in some.iter_rows(named=True):
        decision = Decision.from_row(row)
        if page := page_of(decision):
            shared = orjson.dumps(_shared(decision.context), option=orjson.OPT_SORT_KEYS)
            key = decision.context[PREFIX + PLACE]
            places = found.setdefault(page, {})
            alike = contexts.setdefault(page, shared) == shared and key not in places
            places[key if alike else -1] = row["row"]
    return {
        page: [places[i] for i in range(len(places))]
        for page, places in found.items()
        if places.keys() == set(range(len(places)))
    }


def line_of(
    slots: Sequence[tuple[Decision, float]], actions: Sequence[Sequence[Mapping[str, Any]]]
) -> dict[str, Any] | None:
    """The line of a page: its decisions with their rewards, and the actions of each as a single line has them; None
    where one action is two things."""
    known: dict[str, Mapping[str, Any]] = {}
    for each in actions:
        for action in each:
            if known.setdefault(action["_tag"], action) != action:
                return None
    place = {arm: i for i, arm in enumerate(known)}
    first = slots[0][0]
    return {
        "EventId": first.event_id.rpartition("/")[0],
        "c": {
            "Context": _shared(first.context), "_multi": list(known.values()),
            "_slots": [{"_id": d.event_id, **_own(d.context)} for d, _ in slots],
        },
        "_outcomes": [_outcome(d, reward, place) for d, reward in slots],
    }  # fmt: skip


def _outcome(d: Decision, reward: float, place: Mapping[str, int]) -> dict[str, Any]:
    order = sorted(range(len(d.arms)), key=lambda i: d.arms[i] != d.arm)
    return {
        "_label_cost": 0.0 - reward, "_id": d.event_id, "_a": [place[d.arms[i]] for i in order],
        "_p": [d.pmf[i] for i in order], "_o": [],
    }  # fmt: skip


def _shared(context: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in context.items() if not name.startswith(PREFIX)}


def _own(context: Mapping[str, Any]) -> dict[str, Any]:
    """A slot's own features; its place follows from where it stands."""
    own = {name.removeprefix(PREFIX): value for name, value in context.items() if name.startswith(PREFIX)}
    return {name: value for name, value in own.items() if name != PLACE}
