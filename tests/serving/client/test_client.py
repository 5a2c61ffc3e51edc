"""The client beside a server: what it refuses, what it owes and keeps, sync and asyncio."""

import asyncio
import math
import subprocess
import sys

import numpy as np
import pytest

from croupier.features.log.spool import Spool
from croupier.models.baselines import Uniform
from croupier.serving.client.aio import AsyncClient
from croupier.serving.client.client import Client
from croupier.serving.client.errors import Refused, Unavailable
from croupier.serving.client.outbox import Outbox
from croupier.serving.contract.requests import Request
from croupier.serving.triton.server import Ports
from tests.serving import apps
from tests.serving.ended_at_once import EndedAtOnce

ARMS = ["reel-01", "reel-02", "reel-03"]


def test_nobody_there_the_fallback_answers_with_its_true_propensity(nobody, tmp_path):
    with Client(nobody, outbox=tmp_path / "o.db", fallback=lambda request: [0.7, 0.2, 0.1]) as client:
        chosen = [client.select(unit_id="u", context={}, arms=ARMS) for _ in range(300)]
        assert client.breaker.is_open
        assert len(client.outbox) == 300
    assert all(c.propensity == [0.7, 0.2, 0.1][ARMS.index(c.arm)] for c in chosen)
    assert 0.6 < sum(c.arm == "reel-01" for c in chosen) / 300 < 0.8
    kept = Outbox(tmp_path / "o.db")  # another process finds it
    model, ids, rows = kept.next()
    assert (model, len(ids), rows[0]["reason"]) == ("record", 256, "unavailable")
    assert {r["event_id"] for r in rows} <= {c.event_id for c in chosen}
    kept.close()


def test_without_a_rule_it_raises_and_a_bad_rule_is_named(nobody):
    with Client(nobody, fallback=None) as client, pytest.raises(Unavailable):
        client.select(unit_id="u", context={}, arms=ARMS)
    with Client(nobody, fallback=lambda request: [0.7, 0.7, 0.1]) as client, pytest.raises(Refused, match=r"^fallback"):
        client.select(unit_id="u", context={}, arms=ARMS)


@pytest.mark.parametrize(
    ("request_", "field"),
    [({"context": [], "arms": ARMS}, "context"), ({"context": {}, "arms": []}, "arms"),
     ({"context": {}, "arms": ["a", "a"]}, "arms"), ({"context": {"x": float("inf")}, "arms": ARMS}, "context"),
     ({"context": {}, "arms": ARMS, "arm_context": [{}]}, "arm_context")],
)  # fmt: skip
def test_a_wrong_request_is_refused_with_or_without_a_server(nobody, request_, field):
    with Client(nobody) as client:
        for _ in range(8):  # the same before and after the breaker has opened
            with pytest.raises(Refused, match=rf"^{field}"):
                client.select(unit_id="u", **request_)


@pytest.mark.parametrize(
    ("wrong", "field"),
    [({"unit_id": "\ud800"}, "unit_id"), ({"unit_id": 7}, "unit_id"), ({"unit_id": "u" * 257}, "unit_id"),
     ({"unit_id": ""}, "unit_id"), ({"event_id": None}, "event_id"), ({"event_id": "\udcff"}, "event_id"),
     ({"event_id": "a\nb"}, "event_id"), ({"arms": None}, "arms"), ({"arms": {"a": 1}}, "arms"), ({"arms": 5}, "arms"),
     ({"arm_context": [None, {}, {}]}, "arm_context"), ({"arm_context": 5}, "arm_context"),
     ({"context": {"vector": np.array([1.0, np.nan])}}, "context")],
)  # fmt: skip
def test_a_request_that_nobody_can_answer_is_refused_alone(nobody, wrong, field):
    good = {"unit_id": "u", "context": {}, "arms": ARMS}
    with Client(nobody) as client:
        refused, served = client.select_batch([Request(**(good | wrong)), Request(**good)])
        assert len(client.outbox) == 1
    assert refused.error.startswith(f"{field}: found "), refused.error
    assert (served.role, served.error) == ("fallback", "")


@pytest.mark.parametrize(
    ("wrong", "field"),
    [({"value": 10**400}, "value"), ({"value": True}, "value"), ({"value": "1"}, "value"), ({"value": math.inf}, "value"),
     ({"at": 10**30}, "at"), ({"at": 10**15}, "at"), ({"at": 4 * 10**15}, "at"), ({"at": 2**63}, "at"), ({"at": -5}, "at"), ({"at": "noon"}, "at"), ({"at": 1.5}, "at"),
     ({"event_id": "\ud800"}, "event_id"), ({"event_id": None}, "event_id"), ({"kind": ""}, "kind"),
     ({"kind": "a\nb"}, "kind"), ({"reward_id": "\ud800"}, "reward_id")],
)  # fmt: skip
def test_a_reward_that_nobody_can_take_is_rejected_alone(nobody, wrong, field):
    good = {"event_id": "e", "kind": "click", "value": np.float32(0.5), "reward_id": None, "at": None}
    with Client(nobody) as client:
        for _ in range(2):
            rejected, queued = client.reward_batch([good | wrong, good])
            assert (rejected.status, queued.status) == ("rejected", "queued")
            assert rejected.error.startswith(f"{field}: found "), rejected.error
        _, _, rows = client.outbox.next()
        (incomplete,) = client.reward_batch([{"event_id": "e"}])
        assert incomplete.error.startswith("kind: found None")
    assert [(r["value"], r["reward_id"]) for r in rows] == [(0.5, ""), (0.5, "")]


def test_asyncio_falls_back_and_refuses_too(nobody):
    async def main():
        async with AsyncClient(nobody, deadline_ms=100) as client:
            chosen = await asyncio.gather(*(client.select(unit_id="u", context={}, arms=ARMS) for _ in range(20)))
            queued = await client.reward(event_id=chosen[0].event_id, kind="click", value=1.0)
            with pytest.raises(Refused, match=r"^arms"):
                await client.select(unit_id="u", context={}, arms=[])
            return chosen, queued

    chosen, queued = asyncio.run(main())
    assert {c.role for c in chosen} == {"fallback"}
    assert len({c.event_id for c in chosen}) == 20
    assert queued.status == "queued"


def test_what_the_servers_log_could_not_take_is_kept_here(nobody, monkeypatch):
    error = "log: /log.db: disk is full; nothing of this call was written; send it again"

    def full(_self, model, columns, **_):
        n = len(next(iter(columns.values()))[1])
        if model == "select_arm":
            empty = {name: [""] * n for name in ("event_id", "arm", "role")}
            return empty | {"propensity": [0.0] * n, "pmf": [0.0] * n, "release": [1] * n, "error": [error] * n}
        return {"status": ["rejected"] * n, "error": [error] * n}

    monkeypatch.setattr(Client, "call", full)
    with Client(nobody) as client:
        assert client.select(unit_id="u", context={}, arms=ARMS).role == "fallback"
        assert client.reward(event_id="e", kind="click", value=1.0).status == "queued"
        assert len(client.outbox) == 2
    with Client(nobody, fallback=None) as client:
        with pytest.raises(Unavailable, match="disk is full"):
            client.select(unit_id="u", context={}, arms=ARMS)
        with pytest.raises(Unavailable, match="disk is full"):
            client.reward(event_id="e", kind="click", value=1.0)


FORKED = """
import os, sys
from pathlib import Path
from croupier.serving.client.client import Client
url, file = sys.argv[1], Path(sys.argv[2])
clients = [Client(url), Client(url, outbox=file)]
def ask():
    for client in clients:
        for _ in range(6):
            client.select(unit_id="u", context={}, arms=["a", "b"])
    assert all(client._delivery._thread.is_alive() for client in clients)
ask()
if (child := os.fork()) == 0:
    ask()
    print([len(client.outbox) for client in clients], flush=True)
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
print([len(client.outbox) for client in clients])
"""


def test_a_child_process_has_a_delivery_and_a_connection_of_its_own(nobody, tmp_path):
    command = [sys.executable, "-W", "ignore", "-c", FORKED, nobody, str(tmp_path / "o.db")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout.split("\n")[:2]) == (0, ["[6, 12]", "[6, 6]"]), done.stderr


@pytest.mark.slow
def test_asyncio_and_sync_against_a_server(tmp_path):
    apps.write(tmp_path, Uniform())
    requests = apps.sample().requests(40)

    async def main(url):
        async with AsyncClient(url, deadline_ms=20_000) as client:
            chosen = await asyncio.gather(
                *(
                    client.select(
                        unit_id=r.unit_id,
                        context=r.context,
                        arms=r.arms,
                        arm_context=r.arm_context,
                        event_id=r.event_id,
                    )
                    for r in requests
                )
            )
            batch = await client.select_batch(requests)
            outcome = await client.reward(event_id=chosen[0].event_id, kind="click", value=1.0)
            return chosen, batch, outcome

    with EndedAtOnce(tmp_path, ports=Ports.free()) as triton, Client(triton.grpc, deadline_ms=20_000) as client:
        chosen, batch, outcome = asyncio.run(main(triton.grpc))
        assert list(chosen) == batch == client.select_batch(requests)
    assert outcome.status == "accepted"
    spool = Spool(tmp_path / "spool" / "log.db")
    assert set(spool.find([c.event_id for c in chosen])) == {c.event_id for c in chosen}
    spool.close()
