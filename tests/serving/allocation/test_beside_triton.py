"""The same release behind Triton and in one's own process: the same allocation and marginals for the same request."""

import random

import numpy as np
import pytest

from croupier import Client, Embedded
from croupier.features.budgets.allocated_item import item_of
from croupier.serving.client.errors import Refused
from croupier.serving.triton.server import Ports, TritonServer
from tests.serving.allocation import pages


@pytest.mark.slow
def test_both_allocate_alike(tmp_path):
    """The learner's candidate included; items of one request are on record, rewarded, and a repeat has its answer."""
    with pages.opened(tmp_path) as app:
        policy, encoder = pages.learnt(app)
        pages.published(app, policy, encoder)
        home = app.host.w.home
    rng = random.Random(3)
    asked = [pages.asked(rng, items=1 + i % 4, total=150.0 + 100 * i, event_id=f"e{i}") for i in range(40)]
    with TritonServer(home, ports=Ports.free()) as triton, Client(triton.grpc, deadline_ms=30_000) as client:
        served = [client.allocate(**each) for each in asked]
        assert client.allocate(**asked[0]) == served[0]
        assert client.reward(event_id=served[1].events[0], kind="right", value=1.0).status == "accepted"
        with pytest.raises(Refused, match=r"items\[0\]\.features\.nobody: found"):
            client.allocate(unit_id="u", items=[{"features": {"nobody": 1}}])
        with pytest.raises(Refused, match=r"total: found 10\.0, expected at least"):
            client.allocate(unit_id="u", items=[{}], options=[{"id": "few", "cost": 11}], total=10)
        chosen = client.select(unit_id="u", context={"question": "text"}, arms=["few", "many"])
        assert sum(chosen.pmf) == pytest.approx(1)
    with Embedded("pages", var=tmp_path) as app:
        stored = app.host.spool.find([event for each in served for event in each.events])
        assert len(stored) == sum(len(each.events) for each in served)
        for i, (each, other) in enumerate(zip(asked, served, strict=True)):
            own = app.allocate(**(each | {"event_id": f"e{i}"}))
            assert own == other, "the log has the first answer"
            again = app.allocate(**(each | {"event_id": ""}))
            np.testing.assert_allclose(again.marginals, other.marginals, atol=1e-6)
            assert again.gap == other.gap
            assert item_of(stored[other.events[0]].allocation).propensity == other.propensity
