"""Rewards that app.toml does not declare, sent to the real Triton by gRPC and by HTTP: refused by name, and counted."""

import json
import urllib.request

import pytest

from croupier.features.log.spool import Spool
from croupier.features.worlds.reels import World
from croupier.models.baselines import Uniform
from croupier.serving.client.client import Client
from croupier.serving.client.errors import Refused
from croupier.serving.triton.server import Ports
from tests.serving import apps
from tests.serving.ended_at_once import EndedAtOnce
from tests.spooled import rewards_of

BAD = [
    ("clikc", 1.0, ["found 'clikc', expected one of", "did you mean click?"]),
    ("click", 7.0, ["found 7.0", "0 to 1"]),
    ("click", -0.5, ["found -0.5", "0 to 1"]),
]


def by_http(port, event, kind, value):
    fields = [("event_id", "BYTES", event), ("kind", "BYTES", kind), ("value", "FP64", value)]
    inputs = [{"name": name, "shape": [1, 1], "datatype": type_, "data": [data]} for name, type_, data in fields]
    body = json.dumps({"inputs": inputs}).encode()
    asked = urllib.request.Request(f"http://127.0.0.1:{port}/v2/models/reward/infer", body)
    with urllib.request.urlopen(asked, timeout=30) as answer:
        found = {out["name"]: out["data"][0] for out in json.loads(answer.read())["outputs"]}
    return found["status"], found["error"]


def by_grpc(client, event, kind, value):
    try:
        return client.reward(event_id=event, kind=kind, value=value).status, ""
    except Refused as refused:
        return "rejected", str(refused)


@pytest.mark.slow
def test_an_undeclared_kind_and_a_value_out_of_range_are_refused_by_both_doors_and_counted(tmp_path):
    apps.write(tmp_path, Uniform())
    (tmp_path / "app.toml").write_text(World(seed=3).app_toml())
    with EndedAtOnce(tmp_path, ports=Ports.free()) as triton:
        client = Client(triton.grpc, deadline_ms=20_000)
        event = client.select(unit_id="u7", context={}, arms=["reel-01", "reel-02"]).event_id
        for kind, value, says in BAD:
            answers = by_grpc(client, event, kind, value), by_http(triton.ports.http, event, kind, value)
            assert answers[0] == answers[1]
            assert answers[0][0] == "rejected"
            assert all(part in answers[0][1] for part in says), answers[0][1]
        assert by_http(triton.ports.http, event, "click", 1.0) == ("accepted", "")
        client.close()
    spool = Spool(tmp_path / "spool" / "log.db")
    try:
        assert spool.counts()["rejects"] == 2 * len(BAD)
        assert [(r.kind, r.value) for _, r in rewards_of(spool, [event])[event]] == [("click", 1.0)]
    finally:
        spool.close()
