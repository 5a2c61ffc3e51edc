"""A page of several slots is known by its slots: other ones, or another order, are another question."""

import contextlib

import orjson
import pytest

from croupier.features.log import deferred
from croupier.features.log.spool_rows import REUSED, word_of
from croupier.serving.gateway.desk import Desk
from croupier.serving.gateway.options import Options
from croupier.serving.gateway.problems import CallProblem
from croupier.serving.gateway.ranking import multislot
from tests.serving.gateway.door import ARMS, actions, reward
from tests.serving.gateway.ranking.page import TWO, logged, page, refusal

THREE = [*TWO, {"id": "foot"}]
OTHERS = {
    "one more": THREE,
    "one less": TWO[:1],
    "the last alone": TWO[1:],
    "another name": [TWO[0], {"id": "zweiter"}],
    "another order": TWO[::-1],
    "an action excluded": [TWO[0] | {"excludedActions": ["blue"]}, TWO[1]],
}


@pytest.mark.medium
@pytest.mark.parametrize("first", [True, False], ids=["deferred", "shown"])
@pytest.mark.parametrize("again", [True, False], ids=["then deferred", "then shown"])
def test_a_page_with_other_slots_is_another_question(desk, first, again):
    slots = [{"id": "top"}, {"id": "side"}]  # no features, whose names would tell them apart
    answer = page(desk, slots=slots, deferActivation=first)
    for what, others in OTHERS.items():
        plain = [{k: v for k, v in slot.items() if k != "features"} for slot in others]
        found = refusal(desk, slots=plain, deferActivation=again)
        assert "a new id: this one was answered for other" in str(found), what
        assert found.field.startswith("eventId"), what
    assert "other slots (top, side, in this order)" in str(refusal(desk, slots=THREE))
    on_record = logged(desk, "p/top", "p/side", "p/foot", "p/zweiter")
    assert (len(on_record), deferred.waiting(desk.embedded.host.spool)) == ((0, 2) if first else (2, 0))
    assert page(desk, slots=slots, deferActivation=again) == answer
    counts = {word_of(orjson.loads(body)["reason"]) for _, body in desk.embedded.host.spool.read("rejects")}
    assert counts == {REUSED}


@pytest.mark.medium
def test_events_whose_ids_begin_alike_are_no_slots_of_a_page(desk):
    """p/side/1 is a slot of page p/side, or an event of its own."""
    page(desk, event_id="p/side", slots=[{"id": "1"}, {"id": "2"}])
    desk.rank({"actions": actions(*ARMS), "eventId": "p/lone"})
    desk.rank({"actions": actions(*ARMS), "eventId": "p/later", "deferActivation": True})
    assert page(desk) == page(desk)
    assert sorted(logged(desk, "p/top", "p/side")) == ["p/side", "p/top"]


@pytest.mark.medium
@pytest.mark.parametrize("waits", [True, False], ids=["deferred", "shown"])
def test_of_two_workers_that_decide_one_page_with_other_slots_one_is_refused_whole(desk, monkeypatch, waits):
    """The other worker is faster: between the decisions of this one and its commit."""
    with contextlib.closing(Desk(Options(app="shop"))) as other:
        decide = desk._slots

        def overtaken(*asked):
            shown = decide(*asked)
            monkeypatch.setattr(desk, "_slots", decide)
            page(other, slots=TWO, deferActivation=waits)
            return shown

        monkeypatch.setattr(desk, "_slots", overtaken)
        assert "other slots (top, side, in this order)" in str(refusal(desk, slots=THREE))
        assert logged(desk, "p/foot") == {}
        assert (len(logged(desk, "p/top", "p/side")), deferred.waiting(desk.embedded.host.spool)) == (
            (0, 2) if waits else (2, 0)
        )


@pytest.mark.medium
def test_what_a_full_log_left_out_of_a_page_is_no_other_page(desk):
    """About half of the slots stay, in their order."""
    spool, slots = desk.embedded.host.spool, [{"id": f"s{i:02}"} for i in range(3)]
    events = [f"full{i}" for i in range(40)]
    spool._room = lambda size: 0.5
    answers = {event: page(desk, event_id=event, slots=slots) for event in events}
    assert {event: page(desk, event_id=event, slots=slots) for event in events} == answers
    left = {event: len(logged(desk, *(f"{event}/{s['id']}" for s in slots))) for event in events}
    assert set(left.values()) == {0, 1, 2, 3}
    whole = next(event for event, n in left.items() if n == 3)
    assert "other slots" in str(refusal(desk, event_id=whole, slots=slots[::-1]))


@pytest.mark.medium
@pytest.mark.parametrize("waits", [True, False], ids=["deferred", "shown"])
def test_a_slot_that_its_page_lacks_has_no_reward_and_nor_has_any_with_it(desk, waits):
    page(desk, deferActivation=waits)
    given = [{"slotId": "top", "value": 1}, {"slotId": "nope", "value": 1}]
    with pytest.raises(CallProblem) as found:
        reward(desk, "p", {"reward": given}, read=multislot.rewards)
    assert (found.value.status, found.value.field) == (400, "reward[1].slotId")
    assert found.value.detail == "reward[1].slotId: found 'nope', expected a slot of this page: top, side"
    spool = desk.embedded.host.spool
    assert (spool.counts()["rewards"], deferred.waiting(spool)) == (0, 2 if waits else 0)
    assert spool.counts()["rejects"] == 1, "what was refused is counted"
    reward(desk, "p", {"reward": given[:1]}, read=multislot.rewards)
    assert spool.counts()["rewards"] == 1


@pytest.mark.medium
def test_a_page_that_is_not_on_this_host_may_have_any_slots(desk):
    reward(desk, "far", {"reward": [{"slotId": "nope", "value": 1}]}, read=multislot.rewards)
    assert desk.embedded.host.spool.counts()["rewards"] == 1
    desk.embedded.host.spool._room = lambda size: 0.5
    for i in range(20):  # of some of these pages a full log keeps one slot of two
        page(desk, event_id=f"full{i}")
        reward(desk, f"full{i}", {"reward": [{"slotId": s["id"], "value": 1} for s in TWO]}, read=multislot.rewards)
    assert desk.embedded.host.spool.counts()["rewards"] == 41
