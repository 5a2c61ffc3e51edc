"""What the client allocates when nobody answers: feasible, by its true propensity, to be put on record later."""

import asyncio
import json
from collections import Counter

import pytest
from scipy.stats import chisquare

from croupier.features.budgets.allocated_item import item_of
from croupier.features.log.admission import Admission
from croupier.features.log.spool import Spool
from croupier.features.spec import AppSpec
from croupier.serving.client import messages
from croupier.serving.client.aio import AsyncClient
from croupier.serving.client.client import Client
from croupier.serving.client.errors import Refused, Unavailable
from croupier.serving.decide.records import RawRecord, Records
from croupier.serving.triton import wire

OPTIONS = [{"id": "no", "cost": 0}, {"id": "yes", "cost": 2.5}]
ITEMS = [{"id": "a", "features": {"x": 1}}, {"costs": [1, 2]}, {}]


def test_nobody_there_it_allocates_within_the_total_by_the_propensity_that_it_says(nobody, tmp_path):
    """Ways of three items within 4: the second costs 1 at least, so one at most of the others may cost 2.5."""
    with Client(nobody, outbox=tmp_path / "o.db") as client:
        seen = [
            client.allocate(unit_id="u", context={"c": 2}, items=ITEMS, options=OPTIONS, total=4) for _ in range(400)
        ]
        assert client.allocate(unit_id="u", items=ITEMS, options=OPTIONS, total=1).options == ("no", "no", "no")
        _, _, rows = client.outbox.next()
    counts = Counter(each.options for each in seen)
    assert len(counts) == 4
    assert [each.propensity for each in seen] == pytest.approx([1 / 4] * 400)
    assert max(each.cost for each in seen) <= 4
    assert chisquare(list(counts.values())).pvalue > 1e-4
    first = seen[0]
    assert (first.role, first.offered, first.gap) == ("fallback", ("no", "yes"), None)
    assert [row[1] for row in first.marginals] == pytest.approx([1 / 4] * 3)
    assert [r["event_id"] for r in rows[:3]] == list(first.events)
    assert [json.loads(r["context"]) for r in rows[:3]] == [{"c": 2, "x": 1}, {"c": 2}, {"c": 2}]
    items = [item_of(r["allocation"]) for r in rows[:3]]
    assert [(i.place, i.items, i.costs) for i in items] == [(0, 3, (0.0, 2.5)), (1, 3, (1.0, 2.0)), (2, 3, (0.0, 2.5))]


def test_its_records_are_taken_by_the_server_and_invented_ones_are_not(nobody, tmp_path):
    with Client(nobody) as client:
        found = client.allocate(unit_id="u", items=ITEMS[1:], options=OPTIONS, total=9)
        _, _, rows = client.outbox.next()
    columns = {name: values for name, (_, values) in messages.record_columns(rows).items()}
    assert set(columns) == set(wire.RECORD_INPUTS)
    raws = [RawRecord(*row) for row in zip(*(columns[name] for name in wire.RECORD_INPUTS), strict=True)]
    spool = Spool(tmp_path / "log.db")
    spec = AppSpec.model_validate(
        {"policies": {"candidates": ["lin_ts"]}, "allocation": {"rewards": "request", "spare": 2}}
    )
    records = Records(spool, unit_key="k", declared=lambda: Admission.of(spec))
    assert [o.status for o in records.take(raws)] == ["accepted", "accepted"]
    kept = spool.find(found.events)
    assert [kept[event].arm for event in found.events] == list(found.options)
    assert {(item_of(d.allocation).whole, item_of(d.allocation).weights) for d in kept.values()} == {
        (True, (1.0, 0.0, 2.0))
    }
    for odd in (b"{}", b"[", raws[1].allocation, raws[0].allocation.replace(b'"items":2', b'"items":0')):
        values = {name: getattr(raws[0], name) for name in RawRecord.__slots__}
        (outcome,) = records.take([RawRecord(**(values | {"allocation": odd}))])
        assert outcome.error.startswith("allocation: found"), odd
    spool.close()


@pytest.mark.parametrize(("given", "error", "said"), [
    ({"total": 0.5}, Refused, "total: found 0.5, expected at least 1"),
    ({"total": None}, Unavailable, "found no cost of an option, or no total, in the request"),
    ({"options": ["no", "yes"]}, Unavailable, "found no cost of an option, or no total, in the request"),
    ({"items": [{"costs": [1]}]}, Refused, r"items\[0\]\.costs: found 1 of them, expected one for each option"),
    ({"items": [{"costs": [1, float("nan")]}]}, Refused, "items: found .*, expected finite numbers"),
    ({"items": 7}, Refused, "items: found 7"),
])  # fmt: skip
def test_what_it_cannot_allocate_it_says(nobody, given, error, said):
    with Client(nobody) as client, pytest.raises(error, match=said):
        client.allocate(**({"unit_id": "u", "items": ITEMS, "options": OPTIONS, "total": 4} | given))


def test_the_asyncio_client_does_the_same(nobody):
    async def ask():
        client = AsyncClient(nobody)
        found = await client.allocate(unit_id="u", items=ITEMS, options=OPTIONS, total=4)
        with pytest.raises(Refused, match="total: found -1, expected a finite number"):
            await client.allocate(unit_id="u", items=ITEMS, options=OPTIONS, total=-1)
        await client.close()
        return found

    found = asyncio.run(ask())
    assert found.propensity == pytest.approx(1 / 4)
    assert found.cost <= 4
