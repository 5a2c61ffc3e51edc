"""The client's side of `allocate`: requests to tensors, replies to answers, and what it allocates by itself.

Without an answer in time it draws one of all feasible allocations, each with the same probability, by the costs and the
total that the request brings; what app.toml declares only the server knows."""

import random
from typing import Any

import numpy as np
import orjson

from croupier.features.budgets.allocated_item import AllocatedItem, item_event
from croupier.features.budgets.grid import Grid
from croupier.features.budgets.uniform import FLOOR_CELLS, RandomAllocation
from croupier.features.clock import now_us
from croupier.features.ids import uuid7
from croupier.features.schema import FALLBACK, InvalidEvent
from croupier.serving.client.errors import Refused, Unavailable
from croupier.serving.client.messages import TensorColumns
from croupier.serving.contract.allocations import (
    Allocated,
    AllocateRequest,
    AskedAllocation,
    RawAllocate,
    decode,
    item_events,
)
from croupier.serving.contract.inline_arms import mixed

Rows = list[dict[str, Any]]


def encoded(request: AllocateRequest) -> RawAllocate:
    """The wire form. Raises Refused for what JSON cannot carry, or is of no shape that a server takes."""
    try:
        raw = RawAllocate.of(request)
        decode(raw)
    except InvalidEvent as error:
        raise Refused(str(error)) from None
    return raw


def columns(raw: RawAllocate) -> TensorColumns:
    """The tensors of one request for `select_arm`: beside who asks and the event, all of it is in `allocate`."""
    texts = {
        "unit_id": raw.unit_id, "context": b"", "arms": b"", "event_id": raw.event_id, "allocate": raw.asked,
    }  # fmt: skip
    return {name: ("BYTES", [text]) for name, text in texts.items()}


def answer(reply: dict[str, list[Any]], raw: RawAllocate) -> Allocated:
    """The answer of a reply. Raises Unavailable for a reply that answers something else, Refused for a refusal."""
    try:
        if (said := reply["error"][0]) and not said.startswith("log:"):
            raise Refused(said)
        found = Allocated(error=said) if said else Allocated.from_json(reply["allocated"][0])
    except (KeyError, IndexError, TypeError, ValueError) as problem:
        if isinstance(problem, Refused):
            raise
        raise Unavailable(f"reply: {problem!r}", reason="garbage") from None
    if found.error:
        raise Unavailable(found.error, reason="log")
    if len(found.options) != len(decode(raw).items) or not 0 < found.propensity <= 1:
        raise Unavailable(f"reply: {len(found.options)} options, propensity {found.propensity}", reason="garbage")
    return found


def alone(raw: RawAllocate, error: Unavailable) -> tuple[Allocated, Rows]:
    """A random feasible allocation, and its records for the `record` model. The events are new: under the old ones the
    server may yet log what nobody was shown. Raises Refused where nothing can be allocated; Unavailable where the
    request does not bring options with costs and a total."""
    asked = decode(raw)
    if asked.options is None or asked.total is None or None in _costs(asked).ravel():
        raise Unavailable(
            f"{error}; the client cannot allocate by itself: found no cost of an option, or no total, in the request",
            reason=error.reason,
        )
    cost = _costs(asked).astype(np.float64)
    try:
        drawn = RandomAllocation.of(Grid.of(cost, asked.total).coarser(FLOOR_CELLS))
    except InvalidEvent as refused:
        raise Refused(str(refused)) from None
    chosen = drawn.draw(np.array([random.random() for _ in asked.items]))
    event = uuid7()
    found = Allocated(
        event_id=event,
        options=tuple(asked.options[j] for j in chosen.tolist()),
        cost=float(cost[np.arange(len(chosen)), chosen].sum()),
        events=item_events(event, len(chosen)),
        propensity=drawn.probability,
        offered=asked.options,
        marginals=tuple(map(tuple, drawn.marginals.tolist())),
        role=FALLBACK,
    )
    reason = f"{error.reason}; asked as {asked.event_id}" if asked.event_id else error.reason
    return found, _records(asked, found, cost.tolist(), reason)


def _costs(asked: AskedAllocation) -> np.ndarray[Any, Any]:
    rows = [item.costs or asked.costs for item in asked.items]
    for i, row in enumerate(rows):
        if len(row) != len(asked.costs):
            raise Refused(f"items[{i}].costs: found {len(row)} of them, expected one for each option")
    return np.array(rows, np.object_)


def _records(asked: AskedAllocation, found: Allocated, costs: list[list[float]], reason: str) -> Rows:
    """A record an item: its decision, and what it has on record of the request."""
    arms = orjson.dumps(mixed(found.offered, asked.features)).decode()
    return [
        {
            "unit_id": asked.unit_id, "context": orjson.dumps({**asked.context, **item.features}).decode(),
            "arms": arms, "arm_context": "", "event_id": item_event(found.event_id, place), "arm": found.options[place],
            "pmf": list(found.marginals[place]), "at": now_us(), "reason": reason,
            "allocation": AllocatedItem(
                request=found.event_id, place=place, items=len(asked.items), total=asked.total or 0.0,
                costs=tuple(costs[place]), propensity=found.propensity, name=item.name,
            ).to_json(),
        }
        for place, item in enumerate(asked.items)
    ]  # fmt: skip
