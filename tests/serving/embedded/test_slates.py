"""Slates in one's own process: what they answer, what is on record, and that it is all slots or none."""

from dataclasses import replace

import pytest

from croupier import Embedded, Refused
from croupier.features.spec import AppSpec
from croupier.serving.contract.slates import SlateRequest
from croupier.serving.decide import draws
from croupier.serving.decide.replay import replay
from croupier.serving.slates.page import PageLog
from tests.serving import apps
from tests.serving.embedded.shop import asked, opened, publish

TOML = """
[reward]
range = [0, 1]
[reward.kinds.click]
[context.device]
type = "categorical"
[context.place]
type = "numeric"
[policies]
floor = 0.1
"""
ARMS = {name: {} for name in ("red", "green", "blue", "black")}


@pytest.fixture
def shop(tmp_path):
    with Embedded.declared("shop", toml=TOML, arms=ARMS, var=tmp_path) as found:
        yield found


def on_record(shop, *events):
    return shop.host.spool.find(list(events))


def test_a_slate_is_decisions_over_what_is_left_each_rewarded_by_itself(shop):
    slate = shop.select_slate(unit_id="u", context={"device": "phone"}, k=3, event_id="page")
    assert len(set(slate.arms)) == 3
    assert [s.propensity for s in slate.slots] == pytest.approx([1 / 4, 1 / 3, 1 / 2])
    assert slate.propensity == pytest.approx(1 / 24)
    assert [s.event_id for s in slate.slots] == ["page/0", "page/1", "page/2"]
    logged = on_record(shop, "page/0", "page/1", "page/2")
    for place in range(3):
        decision = logged[f"page/{place}"]
        assert decision.arms == tuple(a for a in ARMS if a not in slate.arms[:place])
        assert (decision.arm, decision.propensity) == (slate.arms[place], slate.slots[place].propensity)
    assert len({d.unit_id for d in logged.values()}) == 1
    assert shop.reward(event_id="page/1", kind="click", value=1.0).status == "accepted"
    assert shop.select_slate(unit_id="u", context={"device": "phone"}, k=3, event_id="page") == slate, "a repeat"


def test_slots_add_their_features_and_no_others(shop):
    slots = [{"place": 0}, {"place": 1}]
    slate = shop.select_slate(unit_id="u", context={"device": "phone"}, slots=slots)
    found = on_record(shop, *(s.event_id for s in slate.slots))
    assert [found[s.event_id].context for s in slate.slots] == [
        {"device": "phone", "place": 0.0},
        {"device": "phone", "place": 1.0},
    ]
    assert slate.slate_id == slate.slots[0].event_id.rpartition("/")[0]


@pytest.mark.parametrize(("wrong", "says"), [
    ({}, "k: found 0"), ({"k": 2, "slots": [{}]}, "k: found '2 beside `slots`', expected one of them"),
    ({"k": True}, "k: found True, expected 1 to 100 slots"), ({"k": -1}, "k: found -1"), ({"k": 101}, "k: found 101"),
    ({"k": 5}, "arms: found '4 of them', expected at least one a slot: 5"), ({"slots": [7]}, "slots: found [7]"),
    ({"slots": [{"device": "tv"}], "context": {"device": "phone"}}, "slots[0].device: found 'tv'"),
    ({"k": 2, "arms": "red"}, "arms: found 'red'"), ({"k": 2, "arm_context": [{}]}, "arm_context: found '1 objects'"),
    ({"k": 2, "arms": ["red", "pink"]}, "arms: found 'pink'"), ({"slots": [{}, {"colour": 1}]}, "context.colour"),
])  # fmt: skip
def test_what_cannot_be_a_slate_is_refused_by_name_and_nothing_of_it_is_on_record(shop, wrong, says):
    before = shop.host.spool.counts()["decisions"]
    with pytest.raises(Refused) as refused:
        shop.select_slate(unit_id="u", **wrong)
    assert says in str(refused.value)
    assert shop.host.spool.counts()["decisions"] == before


def test_a_refused_slate_does_not_hold_up_its_batch(shop):
    good = SlateRequest(unit_id="u", context={}, arms=list(ARMS), slots=[{}, {}], event_id="good")
    bad = replace(good, slots=[{}, {"colour": 1}], event_id="bad")
    found = shop.select_slates([bad, good])
    assert "colour" in found[0].error
    assert (found[0].slots, found[1].error, len(found[1].arms)) == ((), "", 2)
    assert on_record(shop, "bad/0", "bad/1", "good/0", "good/1").keys() == {"good/0", "good/1"}


def test_an_event_that_another_process_decided_meanwhile_is_answered_as_it_is_on_record(shop, monkeypatch):
    asked_for = {"unit_id": "u", "context": {}, "slots": [{"place": 0}, {"place": 1}], "event_id": "page"}
    first = shop.select_slate(**asked_for)
    seen, find = [], shop.host.spool.find
    blind = lambda events: find(events) if seen else {}  # noqa: E731 - the first pass does not see the other's

    class Late(PageLog):
        def commit(self, refused):
            whole = super().commit(refused)
            seen.append(whole)
            return whole

        def append_decisions(self, decisions, undeclared=None):
            held = super().append_decisions(decisions, undeclared)
            if not seen:  # as if this process had drawn otherwise
                self._held = {k: replace(d, propensity=0.9) for k, d in self._held.items()}
            return held

    monkeypatch.setattr("croupier.serving.slates.selector.PageLog", Late)
    monkeypatch.setattr(shop.host.spool, "find", blind)
    assert shop.select_slate(**asked_for) == first
    assert seen == [False, True]


def test_so_is_one_whose_slots_were_decided_at_once(shop, monkeypatch):
    asked_for = {"unit_id": "u", "context": {}, "k": 2, "event_id": "page"}
    first = shop.select_slate(**asked_for)
    looked, find, draw = [], shop.host.spool.find, draws.draw_rows

    def blind(events):  # the first look does not see what the other process decided
        looked.append(events)
        return find(events) if len(looked) > 1 else {}

    def otherwise(pmf, salt, events):  # as if this process had drawn otherwise
        return [(place + 1) % pmf.shape[1] for place in draw(pmf, salt, events)]

    monkeypatch.setattr(shop.host.spool, "find", blind)
    monkeypatch.setattr(draws, "draw_rows", otherwise)
    assert shop.select_slate(**asked_for) == first
    assert looked[0] == ["page/0", "page/1"]
    assert on_record(shop, "page/0", "page/1")["page/1"].arm == first.arms[1]


@pytest.mark.medium
def test_slates_of_a_trained_policy_have_its_pmf_over_what_is_left_and_replay(tmp_path):
    w = opened(tmp_path)
    publish(w, apps.trained("lin_ts"))
    with Embedded("shop", var=tmp_path) as shop:
        known = asked(apps.sample().requests(1)[0])
        slate = shop.select_slate(**known | {"event_id": "page"}, k=3)
        left = [i for i, arm in enumerate(known["arms"]) if arm != slate.arms[0]]
        over = {name: [known[name][i] for i in left] for name in ("arms", "arm_context") if known[name]}
        again = shop.select(**known | over | {"event_id": ""})
        assert again.pmf == pytest.approx(slate.slots[1].pmf, abs=1e-12)
        assert max(slate.slots[0].pmf) > 2 / len(known["arms"]), "a policy that prefers something"
        release = shop.host.selector.release
        for decision in on_record(shop, "page/0", "page/1", "page/2").values():
            steps = replay(decision, load=lambda number: release, spool=shop.host.spool, spec=AppSpec().reward)
            assert (steps[-1].step, [s for s in steps if not s.holds]) == ("propensity", [])
