"""After 100 %: what is kept back, how it is logged, and how the promoted release is rolled back, kept or followed."""

import json
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest

from croupier.features import clock
from croupier.features.encoding.dataset import encode_interactions
from croupier.features.interactions.join import join_interval
from croupier.features.interactions.versions import read_interactions
from croupier.features.log.ship import ship
from croupier.features.log.spool_rows import decision
from croupier.features.quality import gx, summary
from croupier.features.quality.summary import Expected
from croupier.features.store import layout
from croupier.models.baselines import FixedArm
from croupier.serving.decide.replay import loader, replay
from croupier.serving.evidence import hold_out_looks
from croupier.serving.operate import rollout_page, succession, verdict_release, watch
from croupier.serving.release import bundle_store, hold_out, rollout_state, rollout_store
from croupier.serving.release.rollout_state import RolloutRefused, RolloutState, in_candidate
from croupier.serving.release.stage_rule import RolloutEvidence
from tests.serving.watched import SECOND

KEPT = 0.1  # of units: ten times the default, so that a test needs a tenth of the visits
DAY = 86_400 * SECOND


class Broken(FixedArm):
    def pmf(self, batch):
        raise RuntimeError("no tables")


@pytest.fixture
def promoted(house):
    """A house whose candidate has been promoted: it serves all but the hold-out."""
    return partial(_promoted, house)


def _promoted(house, candidate, champion=None, **settings):
    h = house(candidate, stages=(1.0,), **({"holdout": KEPT} | settings))
    if champion is not None:
        h.release(candidate, champion)
    finish(h)
    return h


def finish(h):
    """What the watch does after a look, at the house's own time."""
    with clock.at(h.now):
        number = watch.finish(h.store, h.home, triton=None, now=h.now, spec=h.spec.rollout)
    if number is not None:
        h.serve_with(number)
    return number


def logged(h):
    return [decision(body) for _, body in h.spool.read("decisions", limit=100_000)]


@pytest.mark.parametrize(("what", "arm"), [("predecessor", "a1"), ("uniform", None)])
def test_a_share_of_units_is_kept_back_and_logged_to_the_last_digit(promoted, what, arm):
    h = promoted(FixedArm(arm="a2"), FixedArm(arm="a1"), holdout_policy=what)
    state = rollout_store.read_state(h.store)
    assert (state.stage, state.share, state.kept, state.salt) == ("watch 10%", KEPT, what, "holdout-3")
    assert state.since == h.now
    h.visits(3000, units=1500)
    found = [d for d in logged(h) if d.release == 3]
    assert Counter(d.role for d in found)["holdout"] == pytest.approx(300, abs=120)
    for d in found:
        kept = in_candidate("holdout-3", d.unit_id, KEPT)
        assert (d.role, d.stage) == ("holdout" if kept else "champion", "watch 10%")
        assert d.policy == ("fixed_arm" if not kept or arm else "uniform")
        best = "a2" if not kept else arm
        assert np.allclose(d.pmf, [(0.97 if a == best else 0.01) if best else 0.25 for a in d.arms])
        assert d.propensity == d.pmf[d.arms.index(d.arm)]
    load = loader(h.home, lambda number, folder: bundle_store.download(h.store, number, folder))
    of_kept = next(d for d in found if d.role == "holdout")
    steps = replay(of_kept, load=load, spool=h.spool, spec=h.spec.reward)
    assert all(step.holds for step in steps)
    assert steps[-1].step == "propensity"
    wrong = replay(replace(of_kept, role="champion"), load=load, spool=h.spool, spec=h.spec.reward)
    assert [step.step for step in wrong if not step.holds] == ["pmf"]


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
def test_where_uniform_is_kept_back_the_predecessor_returns(promoted):
    h = promoted(FixedArm(arm="a0"), FixedArm(arm="a2"), holdout_policy="uniform")
    state = h.until_decided()
    assert (state.stage, state.share) == ("returned", 0.0)
    assert {a.role for a in h.visits(200)} == {"champion"}
    assert finish(h) == 4
    assert h.selector.release.champion.arm == "a2"
    assert h.look().stage == "none"


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
    assert f"until {ends:%Y-%m-%d %H:%M:%S} UTC" in page
    assert "of what the hold-out earns" in page
    promoted_units, kept_units, share = seen["units"]["watch 10%"]
    assert share == pytest.approx(0.9)
    assert promoted_units / (promoted_units + kept_units) == pytest.approx(0.9, abs=0.02)


def test_without_a_hold_out_everything_is_as_it_was(promoted):
    h = promoted(FixedArm(arm="a2"), holdout=0)
    state = rollout_store.read_state(h.store)
    assert (state.release, state.stage, state.share) == (2, "none", 0.0)
    assert json.loads(h.store.get(layout.ROLLOUT)) == {
        "release": 2,
        "stage": "none",
        "share": 0.0,
        "salt": "rollout-2",
        "since": state.since,
        "held": "",
        "stages": [0.05, 0.2, 0.5, 1.0],
        "continues": [],
        "history": [
            {
                "at": state.since,
                "stage": "none",
                "share": 0.0,
                "reason": "release 2 published",
                "by": "rollout",
                "evidence": {},
            }
        ],
    }
    assert h.selector.release.manifest["policies"] == {"champion": "fixed_arm"}
    assert h.selector.release.manifest["meta"] == {
        "from_release": 1,
        "from_role": "candidate",
        "by": "rollout",
        "kind": "succession",
        "continues": [],
    }
    assert {a.role for a in h.visits(300)} == {"champion"}


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


def test_by_hand_it_neither_climbs_nor_aborts(promoted):
    h = promoted(FixedArm(arm="a2"))
    for move in (rollout_state.advance, rollout_state.abort):
        with pytest.raises(RolloutRefused, match=r"release 2 was promoted \(watch 10%\).*rollout rollback N"):
            rollout_store.change(h.store, lambda s, move=move: move(s, "by hand", now=h.now, by="me"), home=h.home)
    with clock.at(h.now):
        succession.roll_back(h.store, h.home, 1, triton=None)
    state = h.look()
    assert (state.release, state.stage, state.kept) == (3, "none", "")


def test_the_next_promotion_keeps_back_the_one_before_it(promoted):
    h = promoted(FixedArm(arm="a1"))
    h.release(FixedArm(arm="a2"), champion=h.selector.release.champion)
    assert (h.look().release, rollout_store.read_state(h.store).kept) == (3, ""), "no hold-out beside a rollout"
    assert finish(h) == 4
    loaded = h.selector.release
    assert (loaded.champion.arm, loaded.candidate.arm) == ("a2", "a1")
    assert rollout_store.read_state(h.store).salt == "holdout-4", "other units than before"


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
    assert state.held.startswith("what was kept back fails here, its units see the champion: breaker:")
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


@pytest.mark.medium
def test_decisions_of_the_hold_out_are_trained_on_like_others(promoted, tmp_path):
    h = promoted(FixedArm(arm="a2"), FixedArm(arm="a1"))
    h.visits(3000)
    h.now += 6 * SECOND
    ship(h.spool, h.store, host="h")
    start, end = (datetime.fromtimestamp(t / SECOND, UTC) for t in (h.now - 2 * 3600 * SECOND, h.now + 3600 * SECOND))
    account = join_interval(h.store, h.spec.reward, start=start, end=end, now=end)
    rows, loaded = read_interactions(h.store, start=start, end=end), h.selector.release
    of_kept = (rows["role"] == "holdout").to_numpy()
    assert len(rows) == 3000
    assert 200 < of_kept.sum() < 400
    gx.check(
        rows,
        reward=h.spec.reward,
        start=start,
        end=end,
        folder=tmp_path / "pages",
        encoder=loaded.encoder,
        account=account,
    ).or_raise()
    encoded = encode_interactions(rows, loaded.encoder, loaded.catalogue)
    assert set(encoded.propensity[of_kept].round(6)) == {0.97, 0.01}
    expected = Expected(encoder=None, audit={}, account=account)
    (share,) = [m for m in summary.measures(rows, expected) if m.rule.name.startswith("holdout")]
    assert share.rule.name == "holdout_share release 3 at watch 10%"
