"""After 100 %: what is kept back, how it is logged, and how it counts in what comes after."""

import json
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from croupier.features import clock
from croupier.features.encoding.dataset import encode_interactions
from croupier.features.interactions.join import join_interval
from croupier.features.interactions.parts.interval_rows import IntervalRows
from croupier.features.interactions.versions import read_interactions
from croupier.features.log.ship import ship
from croupier.features.quality import gx, summary
from croupier.features.quality.summary import Expected
from croupier.features.store import layout
from croupier.models.baselines import FixedArm
from croupier.serving.decide.replay import loader, replay
from croupier.serving.operate import succession
from croupier.serving.release import bundle_store, rollout_state, rollout_store
from croupier.serving.release.rollout_state import RolloutRefused, in_candidate
from tests.serving.evidence.promotions import KEPT, finish, logged
from tests.serving.watched import SECOND

pytestmark = pytest.mark.medium  # a second each, or many of them: not in `make check`


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


def test_where_uniform_is_kept_back_the_predecessor_returns(promoted):
    h = promoted(FixedArm(arm="a0"), FixedArm(arm="a2"), holdout_policy="uniform")
    state = h.until_decided()
    assert (state.stage, state.share) == ("returned", 0.0)
    assert {a.role for a in h.visits(200)} == {"champion"}
    assert finish(h) == 4
    assert h.selector.release.champion.arm == "a2"
    assert h.look().stage == "none"


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
        IntervalRows.of(rows),
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
    (share,) = [m for m in summary.measures(IntervalRows.of(rows), expected) if m.rule.name.startswith("holdout")]
    assert share.rule.name == "holdout_share release 3 at watch 10%"
