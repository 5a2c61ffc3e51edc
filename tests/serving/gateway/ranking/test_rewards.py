"""Rewards that come together are one write to disk, each with the fate that it has alone."""

import contextlib

import pytest

from croupier.serving.gateway.desk import Desk
from croupier.serving.gateway.options import Options
from croupier.serving.gateway.ranking import multislot
from croupier.serving.gateway.ranking.rewards import RewardCall, of_event
from tests.serving.gateway.door import ARMS, actions, declared


@pytest.fixture
def desk(tmp_path, monkeypatch):
    monkeypatch.setenv("CROUPIER_VAR", str(declared(tmp_path)))
    with contextlib.closing(Desk(Options(app="shop"))) as found:
        yield found


def call(event_id, body, once="", read=of_event):
    return RewardCall(event_id=event_id, body=body, reward_id=once, read=read)


def slots(**values):
    return {"reward": [{"slotId": name, "value": value} for name, value in values.items()]}


def test_each_has_its_own_fate_and_all_one_write(desk, monkeypatch):
    spool = desk.embedded.host.spool
    for i in range(3):
        desk.rank({"actions": actions(*ARMS), "eventId": f"e{i}", "deferActivation": i == 1})
    desk.multislot({"actions": actions(*ARMS), "slots": [{"id": "a"}, {"id": "b"}], "eventId": "p"})
    writes, append = [], spool.append_rewards
    monkeypatch.setattr(spool, "append_rewards", lambda rows: writes.append(len(rows)) or append(rows))
    found = desk.rewards.take([
        call("e0", {"value": 0.5}), call("e0", {"value": 0.5}), call("e0", {"value": 0.5}, "again"),
        call("e1", {"value": 1}), call("e2", {"value": 7}), call("e2", {"values": 1}),
        call("p", slots(a=1, b=0.25), read=multislot.rewards), call("p", slots(a=0.75, b=7), read=multislot.rewards),
        call("unheard-of", {"value": 1}),
    ])  # fmt: skip
    assert [each and (each.status, each.field) for each in found] == [
        None, None, None, None, (400, "value"), (400, "value"), None, (400, "reward[1].value"), None,
    ]  # fmt: skip
    assert writes == [7], "four of events, two of slots and one of an event not known yet"
    assert spool.counts()["rewards"] == 6, "one of them came twice"
    assert spool.find(["e1"]).keys() == {"e1"}, "a reward that is taken activates"
    assert spool.counts()["rejects"] == 1 + 2, "the repeat, and what was out of range: one of the slots alone"


def test_a_reward_that_is_refused_activates_nothing_of_its_page(desk):
    page = {"actions": actions(*ARMS), "slots": [{"id": "a"}, {"id": "b"}], "eventId": "p", "deferActivation": True}
    desk.multislot(page)
    (refused,) = desk.rewards.take([call("p", slots(a=1, b=7), read=multislot.rewards)])
    assert (refused.status, refused.field) == (400, "reward[1].value")
    assert desk.embedded.host.spool.find(["p/a", "p/b"]) == {}
    assert desk.rewards.take([call("p", slots(a=1, b=0), read=multislot.rewards)]) == [None]
    assert desk.embedded.host.spool.find(["p/a", "p/b"]).keys() == {"p/a", "p/b"}


def test_of_nothing_nothing_comes(desk):
    assert desk.rewards.take([]) == []
