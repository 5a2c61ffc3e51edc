"""Slots that are decided at once: what they are as decisions one after another, to the bit, in one write."""

from dataclasses import replace

import pytest

from croupier import Embedded
from croupier.features.encoding import catalogue
from croupier.features.log.admission import Admission
from croupier.features.log.spool_file import SpoolUnavailable
from croupier.features.store import layout
from croupier.serving.contract.slates import SlateRequest, decided
from croupier.serving.decide.candidate_breaker import CandidateBreaker
from croupier.serving.operate import verdict_release
from croupier.serving.release.rollout_mirror import RolloutReader
from croupier.serving.slates import plain
from croupier.serving.slates.selector import SlateSelector
from tests.serving import apps
from tests.serving.embedded.shop import opened

POLICIES = ["lin_ts", "neural_linear", "vw_cb_adf", "uniform"]  # scored once: three ways; asked again: the last


def slates(n, *, event="page"):
    """Ragged slates of one to three slots, with features of (request, arm)."""
    return [
        SlateRequest(
            unit_id=r.unit_id,
            context=r.context,
            arms=list(r.arms),
            arm_context=list(r.arm_context),
            k=1 + i % 3,
            event_id=f"{event}-{i}",
        )
        for i, r in enumerate(apps.sample().requests(n))
    ]


class Memory:
    """A log that keeps what it is given, call by call."""

    def __init__(self):
        self.calls = []

    def append_decisions(self, decisions, undeclared=None):
        self.calls.append(list(decisions))
        return list(decisions)

    def append_rejects(self, rejects):
        raise AssertionError(rejects)

    def find(self, events):
        return {}


def of_each(decisions):
    """By event, without what the clock made."""
    return {d.event_id: replace(d, at=0, took_us=0) for d in decisions}


@pytest.mark.medium
@pytest.mark.parametrize("name", POLICIES)
@pytest.mark.parametrize("share", [0.0, 0.5])
def test_the_same_decisions_as_slot_after_slot_to_the_bit(tmp_path, name, share):
    home = apps.write(tmp_path, apps.trained(name), apps.trained("lin_ts") if share else None, share=share)

    asked, memory, one_by_one = slates(40), Memory(), Memory()
    selector = SlateSelector(
        home,
        recorder=memory,
        rollout=RolloutReader(tmp_path / layout.ROLLOUT_MIRROR),
        unit_key="key",
        breaker=CandidateBreaker(None, patience_ms=60_000),  # a busy machine is no slow candidate
    )
    at_once = selector.select_slates(asked, memory)
    after_another = decided(selector.recording_in(one_by_one).select, asked)
    assert at_once == after_another
    assert len(memory.calls) == 1, "one write"
    assert of_each(memory.calls[0]) == of_each([d for call in one_by_one.calls for d in call])
    assert len(memory.calls[0]) == sum(1 + i % 3 for i in range(40))
    assert {d.role for d in memory.calls[0]} == ({"champion", "candidate"} if share else {"champion"})


@pytest.mark.medium
def test_a_candidate_that_fails_at_a_later_slot_falls_back_there(tmp_path):

    class Fails:
        name, inline_arms = "lin_ts", "scored"

        def pmf(self, batch):
            raise AssertionError("it is scored once")

        def scored(self, batch):
            def among(left):
                if left.mask.shape[1] < batch.mask.shape[1]:
                    raise ArithmeticError("at the second slot")
                return left.mask / left.mask.sum(axis=1, keepdims=True)

            return among

    release = replace(apps.write(tmp_path, apps.trained("uniform")), champion=Fails())
    memory = Memory()
    asked = SlateRequest(unit_id="u", context={}, arms=[a.arm_id for a in apps.sample().arms], k=2)
    (slate,) = SlateSelector(release, recorder=memory, rollout=None, unit_key="key").select_slates([asked], memory)
    assert [s.role for s in slate.slots] == ["champion", "fallback"]
    assert [s.propensity for s in slate.slots] == pytest.approx([1 / 20, 1 / 19])
    assert memory.calls[0][1].fallback_reason == "champion: ArithmeticError: at the second slot"


def test_which_slates_are_decided_at_once():
    arms = ["a", "b", "c"]
    one = SlateRequest(unit_id="u", context={}, arms=arms, k=2)
    cases = {
        "k": (one, 2),
        "slots without features": (replace(one, k=0, slots=[{}, {}, {}]), 3),
        "slots with features": (replace(one, k=0, slots=[{"place": 0}, {}]), 0),
        "both": (replace(one, slots=[{}]), 0),
        "too many": (replace(one, k=4), 0),
        "no number": (replace(one, k=2.0), 0),
        "a health check": (replace(one, unit_id="croupier:canary"), 0),
        "a long name": (replace(one, event_id="x" * 255), 0),
        "twice": (replace(one, event_id="twice"), 0),
        "again": (replace(one, event_id="twice"), 0),
    }
    found = plain.plain([asked for asked, _ in cases.values()], Memory())
    assert dict(zip(cases, found, strict=True)) == {name: k for name, (_, k) in cases.items()}


@pytest.mark.medium
def test_a_paused_arm_is_said_in_every_slot_that_lists_it(tmp_path):
    w = opened(tmp_path)

    app = apps.sample()
    arms = [replace(arm, paused=i in (0, 1)) for i, arm in enumerate(app.arms)]
    catalogue.write(w.home / layout.CATALOGUE, arms)
    verdict_release.release_policies(
        w, champion=apps.trained("uniform"), candidate=None, encoder=app.encoder, arms=arms, meta={"verdict": "test"}
    )
    listed = [arm.arm_id for arm in arms[:4]]
    with Embedded("shop", var=tmp_path) as shop:
        slate = shop.select_slate(unit_id="u", context={}, arms=listed, k=2)
        assert [s.dropped for s in slate.slots] == [tuple(listed[:2])] * 2
        assert slate.slots[0].pmf == pytest.approx([0, 0, 0.5, 0.5])
        assert sorted(slate.slots[1].pmf) == pytest.approx([0, 0, 1])
        with pytest.raises(ValueError, match="arms: found '2 that can be chosen now', expected at least one a slot: 3"):
            shop.select_slate(unit_id="u", context={}, arms=listed, k=3)
        assert shop.host.spool.counts()["decisions"] == 2
        assert shop.host.spool.counts()["rejects"] == 1


def test_a_log_that_cannot_be_written_refuses_the_slate_as_it_does_a_decision(tmp_path):
    class Down(Memory):
        def append_decisions(self, decisions, undeclared=None):
            raise SpoolUnavailable("the disk is full")

    selector = SlateSelector(apps.write(tmp_path, apps.trained("uniform")), recorder=Down(), rollout=None, unit_key="k")
    arms = [arm.arm_id for arm in apps.sample().arms]
    asked = [SlateRequest(unit_id="u", context={}, arms=arms, k=2, event_id=name) for name in ("a", "b")]
    found = selector.select_slates(asked, Down())
    assert [(s.slate_id, s.slots, s.error) for s in found] == [(name, (), "log: the disk is full") for name in "ab"]


def test_what_is_not_declared_is_counted_once_for_all_slots(tmp_path):
    class Counts(Memory):
        def append_decisions(self, decisions, undeclared=None):
            self.undeclared = dict(undeclared or {})
            return super().append_decisions(decisions)

    memory = Counts()
    selector = SlateSelector(
        apps.write(tmp_path, apps.trained("uniform")),
        recorder=memory,
        rollout=None,
        unit_key="k",
        declared=lambda: Admission(record_floor=0.0, record_us=0, ignore_unknown=True),
    )
    arms = [arm.arm_id for arm in apps.sample().arms]
    asked = SlateRequest(unit_id="u", context={"no_such": 1}, arms=arms, k=3)
    (slate,) = selector.select_slates([asked], memory)
    assert len(slate.slots) == 3
    assert memory.undeclared == {"context.no_such": 1}
