"""Pages of several slots, asked for without a server: for tests."""

import pytest

from croupier.serving.gateway.problems import CallProblem
from tests.serving.gateway.door import ARMS, TOML, actions

SLOTS = TOML + '[context.Slot_place]\ntype = "numeric"\n[context.Slot_size]\ntype = "categorical"\n'
TWO = [{"id": "top", "features": [{"size": "big"}]}, {"id": "side", "features": None}]


def page(desk, event_id="p", slots=TWO, **more):
    return desk.multislot({"actions": actions(*ARMS), "slots": slots, "eventId": event_id} | more)


def logged(desk, *events):
    return desk.embedded.host.spool.find(events)


def refusal(desk, **changes):
    with pytest.raises(CallProblem) as found:
        page(desk, **changes)
    assert found.value.status == 400
    return found.value
