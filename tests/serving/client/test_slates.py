"""The client's slates: slot after slot, each answered, by the fallback where nobody else does."""

import asyncio
import json

import pytest

from croupier.serving.client.aio import AsyncClient
from croupier.serving.client.client import Client
from croupier.serving.client.errors import Refused
from croupier.serving.contract.requests import Selection
from croupier.serving.contract.slates import SlateRequest, decided, named

ARMS = ["a", {"id": "b", "features": {"price": 1.0}}, "c"]


def test_nobody_there_the_fallback_answers_every_slot_with_its_conditional_propensity(nobody, tmp_path):
    with Client(
        nobody, outbox=tmp_path / "o.db", fallback=lambda request: [1 / len(request.arms)] * len(request.arms)
    ) as client:
        slate = client.select_slate(unit_id="u", context={}, arms=["a", "b", "c"], k=3, event_id="page")
        assert sorted(slate.arms) == ["a", "b", "c"]
        assert [s.propensity for s in slate.slots] == pytest.approx([1 / 3, 1 / 2, 1])
        assert slate.propensity == pytest.approx(1 / 6)
        model, _, rows = client.outbox.next()
        assert (model, [r["event_id"] for r in rows]) == ("record", [s.event_id for s in slate.slots])
        assert [json.loads(r["arms"]) for r in rows] == [
            [a for a in "abc" if a not in slate.arms[:n]] for n in range(3)
        ]
        with pytest.raises(Refused, match=r"^context: found \[\]"):
            client.select_slate(unit_id="u", context=[], arms=ARMS, k=2)
        with pytest.raises(Refused, match=r"^k: found 0"):
            client.select_slate(unit_id="u", context={}, arms=ARMS)


def test_the_asyncio_client_does_the_same(nobody):
    async def ask():
        client = AsyncClient(nobody)
        slate = await client.select_slate(unit_id="u", context={}, arms=["a", "b", "c"], k=2)
        with pytest.raises(Refused, match=r"^arms: found '1 of them'"):
            await client.select_slate(unit_id="u", context={}, arms=["a"], k=2)
        await client.close()
        return slate

    slate = asyncio.run(ask())
    assert len(set(slate.arms)) == 2
    assert slate.propensity == pytest.approx(1 / 6)


def test_each_slot_is_asked_over_what_is_left_with_its_own_features():
    asked = []

    def ask(requests):
        asked.append(requests)
        return [
            Selection(
                r.event_id, r.arms[-1] if isinstance(r.arms[-1], str) else r.arms[-1]["id"], 0.5, (), 1, "champion"
            )
            for r in requests
        ]

    pair = [{"x": 0}, {"x": 1}, {"x": 2}]
    request = SlateRequest(unit_id="u", context={"c": 1}, arms=ARMS, slots=[{"s": 7}, {}], arm_context=pair)
    other = SlateRequest(unit_id="v", context={}, arms=["a"], slots=[{}], event_id="other")
    found = decided(ask, named([request, other]))
    assert [s.arms for s in found] == [("c", "b"), ("a",)]
    assert [s.propensity for s in found] == [0.25, 0.5]
    assert [len(batch) for batch in asked] == [2, 1], "all slates' first slots in one call, then the second"
    second = asked[1][0]
    assert (second.arms, second.arm_context, second.context) == (ARMS[:2], pair[:2], {"c": 1})
    assert asked[0][0].context == {"c": 1, "s": 7}
    assert second.event_id == f"{found[0].slate_id}/1"
