"""A catalogue that changes while a promoted release is watched: the watch goes on, and a return serves today's arms."""

import pytest

from croupier.features import clock
from croupier.models.baselines import FixedArm
from croupier.serving.contract.requests import Request
from croupier.serving.evidence import comparison
from croupier.serving.operate import succession, watch
from croupier.serving.release import hold_out, rollout_store
from croupier.serving.release.stage_rule import RolloutEvidence
from tests.serving.arm_shop import ARMS, MINUTE, NEW, Shop

IDS = [arm.arm_id for arm in ARMS]
UNITS = [f"u{i}" for i in range(300)]


@pytest.fixture
def watched(tmp_path, monkeypatch):
    """a1 was promoted over a2, which is kept back for 20 % of units."""
    shop = Shop(tmp_path / "var", monkeypatch, champion=FixedArm(arm="a2"), candidate=FixedArm(arm="a1"))
    spec = shop.w.spec.rollout.model_copy(update={"holdout": 0.2})
    with clock.at(shop.now):
        succession.promote(shop.w.store, shop.w.home, triton=None, spec=spec)
    shop.follow()
    yield shop
    shop.spool.close()


def roles(shop, arms):
    return [a.role for a in shop.selector.select([Request(unit_id=u, context={}, arms=arms) for u in UNITS])]


@pytest.mark.medium
def test_the_watch_goes_on_over_a_catalogue_release(watched):
    s = watched
    before, kept = rollout_store.read_state(s.w.store), roles(s, IDS)
    assert (before.stage, before.kept) == ("watch 20%", "predecessor")
    assert 30 < kept.count("holdout") < 90
    s.ask(100, IDS)
    s.write([*ARMS[:3], NEW])
    assert s.look() == "release 3"
    after = rollout_store.read_state(s.w.store)
    assert (after.release, after.continues) == (3, (2,))
    for name in ("stage", "share", "salt", "since", "kept"):
        assert getattr(after, name) == getattr(before, name), name
    assert after.history[0] == before.history[0], "the watch ends when it would have ended"
    assert hold_out.until(after, s.w.spec.rollout) == hold_out.until(before, s.w.spec.rollout)
    assert roles(s, [*IDS, "n0"]) == kept
    s.ask(100, [*IDS, "n0"])
    s.tick()
    frame = comparison.decisions(s.w.store, s.w.spec.reward, after, now=s.now + MINUTE)
    assert {*frame["release"]} == {2, 3}


@pytest.mark.medium
def test_a_return_after_it_serves_the_predecessor_over_todays_arms(watched):
    s = watched
    s.write([*ARMS[:3], NEW])
    assert s.look() == "release 3"
    harm = RolloutEvidence(harms=("reward",))
    rollout_store.change(
        s.w.store, lambda state: hold_out.next_state(state, harm, s.w.spec.rollout, now=s.now), home=s.w.home
    )
    with clock.at(s.now):
        assert watch.finish(s.w.store, s.w.home, triton=None, now=s.now, spec=s.w.spec.rollout) == 4
    s.follow()
    back = s.loaded()
    assert (back.champion.arm, back.candidate, list(back.newcomers.since)) == ("a2", None, ["n0"])
    answer = s.ask(1, [*IDS, "n0"])[0]
    assert (answer.release, answer.dropped) == (4, ("a3",))
    assert answer.pmf == pytest.approx([0.009, 0.009, 0.9 * 0.97, 0.0, 0.009 + 0.1])
