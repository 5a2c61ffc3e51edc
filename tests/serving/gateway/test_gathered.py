"""Ranks that come together are decided together, each with the answer that it has alone."""

import asyncio
import re
import threading

import pytest

from croupier.serving.gateway.calls import Gathered
from croupier.serving.gateway.desk import Desk
from croupier.serving.gateway.options import Options
from croupier.serving.gateway.problems import CallProblem
from tests.serving.gateway.door import ARMS, actions, declared


def test_what_comes_meanwhile_is_the_next_batch_and_each_gets_its_own():
    batches, begun = [], threading.Event()

    def work(items):
        batches.append(list(items))
        begun.wait(10)
        return [CallProblem(400, f"{i}: found") if i == 3 else i * 10 for i in items]

    async def ask():
        gathered = Gathered(work, most=4)
        first = asyncio.create_task(gathered(0))
        await asyncio.sleep(0.05)
        rest = [asyncio.create_task(gathered(i)) for i in range(1, 8)]
        await asyncio.sleep(0)
        rest[1].cancel()  # a caller that hangs up
        begun.set()
        again = await asyncio.gather(first, *rest, return_exceptions=True)
        last = await gathered(9)
        gathered.close()
        return [*again, last]

    found = asyncio.run(ask())
    assert batches == [[0], [1, 2, 3, 4], [5, 6, 7], [9]]
    assert (found[0], found[1], *found[4:]) == (0, 10, 40, 50, 60, 70, 90)
    assert isinstance(found[2], asyncio.CancelledError)
    assert str(found[3]) == "3: found"


def test_what_fails_fails_for_all_of_its_batch_and_for_nobody_else():
    failing = [True]

    def work(items):
        if failing.pop() if failing else False:
            raise OSError("no room")
        return items

    async def ask():
        gathered = Gathered(work)
        both = await asyncio.gather(gathered(1), gathered(2), return_exceptions=True)
        after = await gathered(3)
        gathered.close()
        return both, after

    both, after = asyncio.run(ask())
    assert [(each.status, str(each)) for each in both] == [(503, "store: no room")] * 2
    assert after == 3


def test_what_came_before_the_end_is_done_and_handed_over():
    done, begun = [], threading.Event()

    def work(items):
        begun.wait(10)
        done.extend(items)
        return items

    async def ask():
        gathered = Gathered(work, most=2)
        asked = [asyncio.create_task(gathered(i)) for i in range(5)]
        await asyncio.sleep(0.05)
        begun.set()
        await asyncio.to_thread(gathered.close)
        return await asyncio.gather(*asked)

    assert asyncio.run(ask()) == done == [0, 1, 2, 3, 4]


@pytest.mark.medium
def test_together_and_alone_are_the_same_answers(tmp_path, monkeypatch):
    bodies = [{"actions": actions(*ARMS), "eventId": f"e{i}", "deferActivation": i % 3 == 0} for i in range(12)]
    bodies.insert(4, {"actions": actions("pink"), "eventId": "p"})
    bodies.append(bodies[0] | {"deferActivation": False})  # shown now
    bodies.append(bodies[2])  # sent twice
    monkeypatch.setenv("CROUPIER_VAR", str(declared(tmp_path)))
    desk = Desk(Options(app="shop", deferred=3))
    together = desk.ranks(bodies)
    refused = {i: each for i, each in enumerate(together) if isinstance(each, CallProblem)}
    assert [(i, each.status) for i, each in refused.items()] == [(4, 400), (10, 429)]
    assert desk.embedded.host.spool.counts()["decisions"] == 8 + 1
    for i, body in enumerate(bodies):
        if i not in refused:
            assert together[i] == desk.rank(body)
    with pytest.raises(CallProblem, match=re.escape(refused[4].detail)):
        desk.rank(bodies[4])
    desk.close()
