"""What a client says of a request that it allocated by itself, checked against the decision of the item."""

import math
from dataclasses import replace

from croupier.features.budgets.allocated_item import AllocatedItem, item_event
from croupier.features.schema import Decision, InvalidEvent
from croupier.features.spec_values import OF_REQUESTS, AllocationSpec
from croupier.serving.contract.allocations import MAX_ITEMS

EXPECTED = "what a client of this version writes of an item that it allocated"


def checked(raw: bytes, decision: Decision, declared: AllocationSpec) -> AllocatedItem:
    """The item, with what app.toml declares of rewards. Raises InvalidEvent where it is no item of this decision."""
    try:
        item = AllocatedItem.from_json(raw.decode())
        whole = 0 <= item.place < item.items <= MAX_ITEMS and len(item.costs) == len(decision.arms)
        numbers = [item.total, *item.costs, item.propensity]
        sound = whole and all(math.isfinite(n) and n >= 0 for n in numbers) and 0 < item.propensity <= 1
    except (ValueError, TypeError, KeyError):
        raise InvalidEvent("allocation", raw[:80], EXPECTED) from None
    if not sound or decision.event_id != item_event(item.request, item.place):
        raise InvalidEvent("allocation", raw[:80], EXPECTED)
    return replace(item, whole=declared.rewards == OF_REQUESTS, weights=declared.weights, region=0, covers=(), gap=None)
