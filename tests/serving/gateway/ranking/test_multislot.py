"""Personalizer's multi-slot calls: slot after slot, each a decision over what is left, with its own exact propensity."""

import contextlib

import numpy as np
import pytest

from croupier.features.log import deferred
from croupier.serving.gateway.desk import Desk
from croupier.serving.gateway.options import Options
from croupier.serving.gateway.problems import CallProblem
from croupier.serving.gateway.ranking import multislot
from tests.serving.gateway.door import ARMS, actions, declared, joined, reward
from tests.serving.gateway.ranking.page import SLOTS, TWO, logged, page, refusal


@pytest.mark.medium
def test_each_slot_is_a_decision_over_what_the_slots_before_left(desk):
    answer = page(desk, contextFeatures=[{"device": {"type": "phone"}}])
    top, side = (slot["rewardActionId"] for slot in answer["slots"])
    assert ([slot["id"] for slot in answer["slots"]], answer["eventId"]) == (["top", "side"], "p")
    assert len({top, side}) == 2
    found = logged(desk, "p/top", "p/side")
    assert (found["p/top"].arm, found["p/side"].arm) == (top, side)
    assert set(found["p/top"].arms) == set(ARMS)
    assert set(found["p/side"].arms) == set(ARMS) - {top}
    assert (found["p/top"].propensity, found["p/side"].propensity) == (pytest.approx(1 / 3), 0.5)
    assert found["p/top"].context == {"device.type": "phone", "Slot_size": "big", "Slot_place": 0}
    assert found["p/side"].context == {"device.type": "phone", "Slot_place": 1}
    assert found["p/top"].unit_id == found["p/side"].unit_id, "a page is one unit"


@pytest.mark.medium
def test_the_same_question_has_the_same_answer_and_another_is_refused(desk):
    assert page(desk) == page(desk)
    assert page(desk, deferActivation=True) == page(desk)
    assert "eventId" in str(refusal(desk, contextFeatures=[{"hour": 5}]))


@pytest.mark.medium
def test_pages_are_drawn_by_the_product_of_their_propensities(desk):
    """600 pages of uniform: each of six orders as often as the others (χ² with 5 degrees of freedom, p = 1e-4)."""
    seen = {}
    for i in range(600):
        order = tuple(slot["rewardActionId"] for slot in page(desk, event_id=f"page{i}")["slots"])
        seen[order] = seen.get(order, 0) + 1
    assert len(seen) == 6
    assert sum((n - 100) ** 2 / 100 for n in seen.values()) < 25.7
    assert np.sum(list(seen.values())) == 600


@pytest.mark.medium
def test_a_deferred_page_is_no_event_until_it_is_activated(desk):
    page(desk, deferActivation=True)
    assert logged(desk, "p/top", "p/side") == {}
    assert deferred.waiting(desk.embedded.host.spool) == 2
    desk.activate_slots("p")
    assert sorted(logged(desk, "p/top", "p/side")) == ["p/side", "p/top"]
    assert deferred.waiting(desk.embedded.host.spool) == 0
    with pytest.raises(CallProblem, match="a page that was ranked with deferActivation"):
        desk.activate_slots("p")
    page(desk, event_id="p0", deferActivation=True)
    with pytest.raises(CallProblem, match="activated once"):
        desk.activate_slots("p")


@pytest.mark.medium
def test_a_page_is_one_write_to_disk_however_many_slots_it_has(desk, monkeypatch):
    """Each write is a wait for the disk; the first deferral makes the tables, too."""
    page(desk, event_id="first", deferActivation=True)
    spool, writes = desk.embedded.host.spool, []
    writer = spool._writer
    monkeypatch.setattr(spool, "_writer", lambda: writes.append(1) or writer())
    three = [*TWO, {"id": "foot"}]
    for event_id, asked in (("now", {}), ("later", {"deferActivation": True})):
        page(desk, event_id=event_id, slots=three, **asked)
        assert len(writes) == 1
        page(desk, event_id=event_id, slots=three, **asked)
        assert len(writes) == 1, "what stands already is not written again"
        writes.clear()
    desk.activate_slots("later")
    assert len(writes) == 2, "into the log, and out of what waits"
    assert sorted(logged(desk, "later/top", "later/side", "later/foot")) == ["later/foot", "later/side", "later/top"]


@pytest.mark.medium
def test_a_page_that_waits_is_shown_by_the_same_rank_without_deferral_and_not_by_another(desk):
    first = page(desk, deferActivation=True)
    assert "eventId" in str(refusal(desk, contextFeatures=[{"hour": 5}]))
    assert (logged(desk, "p/top", "p/side"), deferred.waiting(desk.embedded.host.spool)) == ({}, 2)
    assert page(desk) == first
    assert sorted(logged(desk, "p/top", "p/side")) == ["p/side", "p/top"]
    assert deferred.waiting(desk.embedded.host.spool) == 0


@pytest.mark.medium
def test_a_page_waits_only_where_there_is_room_for_all_of_it(tmp_path, monkeypatch):
    monkeypatch.setenv("CROUPIER_VAR", str(declared(tmp_path, toml=SLOTS)))
    with contextlib.closing(Desk(Options(app="shop", deferred=3))) as found:
        page(found, event_id="a", deferActivation=True)
        with pytest.raises(CallProblem, match="deferActivation: found 3 decisions that wait") as full:
            page(found, event_id="b", deferActivation=True)
        assert (full.value.status, deferred.waiting(found.embedded.host.spool)) == (429, 2)
        assert page(found, event_id="c")["eventId"] == "c", "what is shown at once waits for nobody"


@pytest.mark.medium
def test_a_page_that_cannot_be_filled_leaves_no_event(desk):
    """The second slot excludes what the first did not show."""
    for i in range(60):
        first = page(desk, event_id=f"try{i}")["slots"][0]["rewardActionId"]
        other = [arm for arm in ARMS if arm != first]
        slots = [TWO[0], {"id": "side", "excludedActions": other}]
        event = f"try{i}b"
        with contextlib.suppress(CallProblem):
            page(desk, event_id=event, slots=slots)
            continue
        assert logged(desk, f"{event}/top", f"{event}/side") == {}
        break
    else:
        pytest.fail("the slot before never took the only action that was left")
    assert "slots[1].excludedActions" in str(
        refusal(desk, event_id="all", slots=[TWO[0], {"id": "s", "excludedActions": list(ARMS)}])
    )
    assert logged(desk, "all/top") == {}


@pytest.mark.medium
def test_rewards_of_slots_are_taken_whole_or_not_at_all(desk, tmp_path):
    page(desk)
    with pytest.raises(CallProblem, match="value: found 7"):
        reward(
            desk,
            "p",
            {"reward": [{"slotId": "top", "value": 1}, {"slotId": "side", "value": 7}]},
            read=multislot.rewards,
        )
    reward(desk, "p", {"reward": [{"slotId": "side", "value": 0.5}]}, read=multislot.rewards)
    found, _ = joined(tmp_path)
    assert {event: row["reward"] for event, row in found.items()} == {"p/top": 0.0, "p/side": 0.5}


@pytest.mark.medium
@pytest.mark.parametrize(("slots", "room"), [(TWO, 251), ([{"id": "ü" * 20}, {"id": "b"}], 215)])
@pytest.mark.parametrize("sign", ["y", "é"])
def test_the_limit_of_a_pages_id_is_what_its_longest_slot_leaves(desk, slots, room, sign):
    most = sign * (room // len(sign.encode()))
    assert page(desk, event_id=most, slots=slots)["eventId"] == most
    for longer in (f"{most}yy", "y" * 256, "y" * 300):
        found = refusal(desk, event_id=longer, slots=slots)
        assert found.field == "eventId"
        assert f"expected at most {room} bytes: each slot's event adds / and its id" in found.detail


@pytest.mark.medium
def test_the_limit_of_a_slots_id_is_what_an_event_leaves(desk):
    """An id of an event that is made has 36 bytes."""
    page(desk, event_id="", slots=[{"id": "s" * 219}])
    found = refusal(desk, event_id="", slots=[{"id": "s" * 220}])
    assert (found.field, "expected at most 219 bytes beside this eventId" in found.detail) == ("slots[0].id", True)


@pytest.mark.medium
@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"slots": []}, "slots"), ({"slots": None}, "slots"), ({"slots": [{"id": str(i)} for i in range(4)]}, "slots"),
        ({"slots": [{"id": "a"}, {"id": "a"}]}, "slots[1].id"), ({"slots": [{"id": 7}]}, "slots[0].id"),
        ({"slots": [{"id": "a", "colour": 1}]}, "slots[0]"), ({"slots": ["a"]}, "slots[0]"),
        ({"slots": [{"id": "a", "excludedActions": "red"}]}, "slots[0].excludedActions"),
        ({"slots": [{"id": "a", "features": {"size": "big"}}]}, "slots[0].features"),
        ({"slots": [{"id": "a", "baselineAction": 7}]}, "slots[0].baselineAction"), ({"slots": [{"id": "a\n"}]}, "slots[0].id"),
        ({"contextFeatures": [{"Slot_weight": 3}]}, "contextFeatures.Slot_weight"),
        ({"slots": [{"id": "a" * 300}]}, "slots[0].id"), ({"excludedActions": []}, "excludedActions"),
        ({"slots": [{"id": "a", "features": [{"weight": 3}]}]}, "slots[0].features.weight"),
        ({"actions": [{"id": "pink"}]}, "actions[0].id"),
    ],
)  # fmt: skip
def test_what_is_no_question_is_refused_by_name(desk, changes, field):
    assert refusal(desk, **changes).field == field


@pytest.mark.medium
@pytest.mark.parametrize("body", [{}, {"reward": []}, {"reward": [{"slotId": "a"}]}, {"reward": [{"slotId": 1, "value": 1}]}, {"value": 1},
                                  {"reward": [{"slotId": "a", "value": 1, "x": 1}]}, {"reward": ["a"]}])  # fmt: skip
def test_a_reward_that_is_none_is_refused(desk, body):
    with pytest.raises(CallProblem, match="reward"):
        reward(desk, "p", body, read=multislot.rewards)


def test_a_page_keeps_what_is_declared_of_slates_and_says_what_it_cannot(tmp_path, monkeypatch):
    """Also with actions that the call brings along, of which a later slot knows what its page has shown."""
    declares = '[[slates.minimums]]\nfeature = "colour"\nvalue = "blue"\n[arms]\nsource = "both"\n'
    monkeypatch.setenv("CROUPIER_VAR", str(declared(tmp_path, toml=SLOTS + declares)))
    with contextlib.closing(Desk(Options(app="shop"))) as desk:
        for i in range(30):
            shown = [slot["rewardActionId"] for slot in page(desk, f"p-{i}")["slots"]]
            assert "blue" in shown
            if i == 0:
                found = logged(desk, "p-0/top", "p-0/side")
                assert set(found["p-0/side"].arms) == ({"blue"} if shown[0] != "blue" else {"red", "green"})
        brought = [{"id": name, "features": [{"colour": c}]} for name, c in (("sky", "blue"), ("sun", "red"))]
        listed = [*actions("red", "green"), *brought]
        pages = [page(desk, f"q-{i}", actions=listed)["slots"] for i in range(40)]
        tops = [slots[0]["rewardActionId"] for slots in pages]
        assert {"sky", "sun"} < set(tops)
        for i, slots in enumerate(pages):
            top, side = (slot["rewardActionId"] for slot in slots)
            assert "sky" in (top, side)
            assert set(logged(desk, f"q-{i}/side")[f"q-{i}/side"].arms) == (
                {"red", "green", "sun"} if top == "sky" else {"sky"}
            )
        said = refusal(desk, event_id="r", actions=actions("red", "green"))
        assert str(said).startswith("actions: found \"0 with colour = 'blue' that can be shown\", expected at least 1")
        assert logged(desk, "r/top", "r/side") == {}
