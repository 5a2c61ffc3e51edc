"""The watch on a promoted release: it is rolled back, kept or followed, by what the hold-out shows."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import numpy as np
import pytest

from croupier.features.utc import DAY
from croupier.models.baselines import FixedArm
from croupier.serving.evidence import hold_out_looks
from croupier.serving.operate import rollout_page, verdict_release
from croupier.serving.release import bundle_store, hold_out, rollout_state, rollout_store
from croupier.serving.release.rollout_state import RolloutState
from croupier.serving.release.stage_rule import RolloutEvidence
from tests.page_words import words
from tests.serving.evidence.promotions import KEPT, finish, logged
from tests.serving.watched import SECOND


class Broken(FixedArm):
    def pmf(self, batch):
        raise RuntimeError("no tables")


@pytest.mark.medium
def test_a_promoted_release_that_is_worse_is_rolled_back_by_itself(promoted):
    """a2 is worth 0.40 and was succeeded by a0, worth 0.05."""
    h = promoted(FixedArm(arm="a0"), FixedArm(arm="a2"))
    state = h.until_decided()
    assert (state.stage, state.share) == ("returned", 1.0)
    assert state.history[-1]["reason"] == "harm shown: reward"
    assert state.history[-1]["evidence"]["upper"] < 0
    assert {(a.role, a.pmf[2]) for a in h.visits(200)} == {("holdout", 0.97)}, "everybody at once, before the release"
    assert rollout_store.read_state(h.store) == h.look()
    assert finish(h) == 4
    back = h.selector.release
    assert (back.champion.arm, back.candidate) == ("a2", None)
    assert back.manifest["meta"] == {
        "from_release": 3,
        "from_role": "candidate",
        "by": "rollout",
        "kind": "succession",
        "continues": [],
    }
    state = h.look()
    assert (state.release, state.stage, state.share, state.kept) == (4, "none", 0.0, "")
    assert {(a.role, a.pmf[2]) for a in h.visits(200)} == {("champion", 0.97)}
    assert finish(h) is None
    assert bundle_store.download(h.store, 4, h.home / "again" / "4")["digest"] == back.manifest["digest"]


@pytest.mark.medium
def test_it_ends_when_its_time_is_up_and_everybody_gets_the_promoted_release(promoted):
    h = promoted(FixedArm(arm="a2"), watch_days=400 / 86_400)
    state = h.until_decided(n=100)
    while state.stage != "none":
        state = h.look()
    assert state.history[-1]["reason"].startswith("watched for 0.0046")
    assert state.history[-1]["at"] >= state.history[0]["at"] + 400 * SECOND
    assert {a.role for a in h.visits(300)} == {"champion"}
    assert finish(h) is None
    assert state.history[-1]["evidence"]["difference"] > 0


@pytest.mark.medium
def test_what_turns_bad_late_is_found_although_it_was_good_for_long(promoted):
    """For eight days the release is much better, then much worse: bets from the beginning would still be far behind."""
    h = promoted(FixedArm(arm="a2"), stale_seconds=float(2 * DAY))
    for _ in range(8):
        h.visits(1000)
        h.now += DAY
    h.serve_with(h.selector.release.number, champion=FixedArm(arm="a0"))  # as if the data behind it had rotted
    for _ in range(20):
        h.visits(400)
        h.now += DAY // 6
        if (state := h.look()).stage == "returned":
            break
    numbers = state.history[-1]["evidence"]
    assert state.history[-1]["reason"] == "harm shown: reward"
    assert numbers["log_wealth_harm"] > np.log(1 / 0.009)
    assert numbers["difference"] > 0, "on the whole it is still ahead"


@pytest.mark.medium
def test_an_equal_release_is_not_rolled_back_and_people_are_told(promoted):
    h = promoted(FixedArm(arm="a1"), FixedArm(arm="a1"))
    assert "no matured decisions of both sides yet" in hold_out_looks.told(
        h.store, rollout_store.read_state(h.store), h.spec
    )
    for _ in range(4):
        h.visits(3000)
        state = h.look()
    assert (state.stage, state.held, len(state.history)) == ("watch 10%", "", 1)
    said = hold_out_looks.told(h.store, state, h.spec)
    ends = datetime.fromtimestamp(state.since / SECOND, UTC) + timedelta(days=14)
    assert said.startswith(
        f"watched until {ends:%Y-%m-%d %H:%M:%S} UTC against predecessor, which 0.1 of units are served"
    )
    seen = hold_out_looks.latest(h.store, 3)["evidence"]
    assert seen["lower"] < 0 < seen["upper"]
    worth = seen["champion_mean"]
    assert worth == pytest.approx(0.248, abs=0.03)
    assert f"{seen['difference'] / worth:+.1%} [{seen['lower'] / worth:+.1%}, {seen['upper'] / worth:+.1%}]" in said
    assert "neither better nor worse is shown" in said
    page = rollout_page.write(h.store, h.home, h.spec, now=h.now).read_text()
    assert f"until {ends:%Y-%m-%d %H:%M:%S} UTC" in words(page)
    assert "of what the hold-out earns" in page
    promoted_units, kept_units, share = seen["units"]["watch 10%"]
    assert share == pytest.approx(0.9)
    assert promoted_units / (promoted_units + kept_units) == pytest.approx(0.9, abs=0.02)


def test_switching_it_off_ends_a_watch_and_a_state_without_the_new_field_is_read(promoted):
    h = promoted(FixedArm(arm="a2"))
    h.spec = h.spec.model_copy(update={"rollout": h.spec.rollout.model_copy(update={"holdout": 0.0})})
    state = h.look()
    assert (state.stage, state.share, state.history[-1]["reason"]) == ("none", 0.0, "the hold-out is switched off")
    old = rollout_state.start(5, now=7).to_json()
    assert b"kept" not in old
    assert RolloutState.from_json(old).kept == ""
    watched = hold_out.start(5, {"share": 0.01, "policy": "uniform"}, now=7, by="x")
    assert RolloutState.from_json(watched.to_json()) == watched


def test_a_watch_lets_the_next_release_pass_and_a_return_under_way_does_not(promoted):
    h = promoted(FixedArm(arm="a2"))
    w = SimpleNamespace(store=h.store, spec=h.spec)
    assert verdict_release._waits(w) == ""
    rollout_store.change(
        h.store, lambda s: hold_out.next_state(s, RolloutEvidence(harms=("reward",)), h.spec.rollout, now=h.now)
    )
    assert verdict_release._waits(w) == "release 2 is at returned; the family is judged again at the next training"
    finish(h)
    assert verdict_release._waits(w) == ""


def test_a_dead_host_in_the_middle_of_a_return_is_followed(promoted):
    h = promoted(FixedArm(arm="a2"))
    harm = RolloutEvidence(harms=("reward",))
    rollout_store.change(h.store, lambda s: hold_out.next_state(s, harm, h.spec.rollout, now=h.now), home=h.home)
    h.store.put("rollout/promotion/000002", str(h.now).encode())  # leased, then killed
    assert finish(h) is None
    assert h.look().stage == "returned"
    h.now += 300 * SECOND
    assert finish(h) == 3
    assert h.selector.release.champion.name == "uniform"


def test_what_fails_in_the_hold_out_holds_the_watch_and_is_no_harm_of_the_promoted(promoted):
    h = promoted(FixedArm(arm="a2"))
    h.serve_with(2, candidate=Broken(arm="a1"))
    for _ in range(4):
        h.visits(400)
    state = h.look()
    assert state.held.startswith("what was kept back fails, its units see the champion: breaker:")
    assert (state.stage, state.share) == ("watch 10%", KEPT)
    of_kept = [d for d in logged(h) if d.fallback_reason]
    assert of_kept
    assert {(d.role, d.arms[int(np.argmax(d.pmf))]) for d in of_kept} == {("fallback", "a2")}


def test_looks_grow_rarer_as_a_watch_grows_longer(promoted):
    h, looks, passed = promoted(FixedArm(arm="a2")), 0, 0
    state = rollout_store.read_state(h.store)
    for half_hour in range(14 * 48):
        now = state.since + half_hour * 1800 * SECOND
        if hold_out_looks.due(h.store, state, h.spec, now):
            hold_out_looks.keep(h.store, state, RolloutEvidence(), now)
            passed = max(passed, now - state.since)
            looks += 1
    assert looks < 320, "of 672 half hours"
    assert passed > 13.8 * DAY
    assert hold_out_looks.due(h.store, state, h.spec, state.since + 14 * DAY)
    hold_out_looks.keep(h.store, state, RolloutEvidence(), state.since + 400 * DAY)  # by a clock that was ahead
    assert hold_out_looks.due(h.store, state, h.spec, state.since + DAY)
