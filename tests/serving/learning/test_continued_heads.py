"""A catalogue release goes on from what the fast loop of this host had learnt, as if its number had never changed."""

from dataclasses import replace

import numpy as np
import pytest

from croupier.features.log.spool import Spool
from croupier.features.schema import Arm, Reward
from croupier.features.spec import KindSpec, RewardSpec
from croupier.features.store import layout
from croupier.features.store.released import CATALOGUE
from croupier.serving.decide.selector import Selector
from croupier.serving.learning import carry_over
from croupier.serving.learning.fast_loop import FastLoop, rebuilt
from croupier.serving.learning.head_file import HeadFile
from croupier.serving.learning.live_heads import LiveHeads
from croupier.serving.release import bundle
from croupier.serving.release.continuation import SAME_ARMS
from tests.serving import apps

pytestmark = pytest.mark.medium
SPEC = RewardSpec(window_seconds=3600, kinds={"click": KindSpec()})
NEW = Arm(arm_id="new", features={})


@pytest.fixture
def spool(tmp_path):
    made = Spool(tmp_path / "log.db", durability="NORMAL")
    yield made
    made.close()


@pytest.fixture
def first(tmp_path):
    return apps.write(tmp_path, apps.trained("lin_ts"))


def follow(tmp_path, old, *, same_arms=True):
    """A catalogue release after `old`, with one more arm."""
    folder = tmp_path / "triton" / "select_arm" / str(old.number + 1)
    meta = {"kind": CATALOGUE, "from_release": old.number, "from_digest": old.manifest["digest"],
            "continues": [*old.continues, old.number], SAME_ARMS: same_arms}  # fmt: skip
    bundle.write_release(
        folder,
        number=old.number + 1,
        champion=old.champion,
        candidate=None,
        encoder=old.encoder,
        arms=[*old.arms, replace(NEW, arm_id=f"new-{old.number}")],
        floor=old.floor,
        meta=meta,
    )
    return bundle.load(folder)


def decide(loaded, spool, n, seed):
    s = Selector(loaded, recorder=spool, rollout=None, unit_key="k")
    return s.select(apps.sample().requests(n, seed=seed))


def send(spool, answers, value=None):
    found = spool.find([a.event_id for a in answers])
    spool.append_rewards(
        [
            Reward(
                event_id=a.event_id,
                at=found[a.event_id].at + 1,
                kind="click",
                value=float(i % 3 == 0) if value is None else value,
            )
            for i, a in enumerate(answers)
        ]
    )


def head(tmp_path, loaded):
    path = layout.head(tmp_path / "posterior", loaded.number, "champion")
    return HeadFile(path, d=len(loaded.champion.head.moments.b), digest=loaded.manifest["digest"]).read()


def same(a, b):
    assert (a.step, a.moments.n) == (b.step, b.moments.n)
    assert np.array_equal(a.moments.A, b.moments.A)
    assert np.array_equal(a.moments.b, b.moments.b)


def test_the_new_release_begins_where_the_old_head_stands_and_learns_what_was_in_flight(tmp_path, first, spool):
    loop = FastLoop(tmp_path / "posterior", first, spool, SPEC)
    answers = decide(first, spool, 60, seed=1)
    send(spool, answers[:40])
    loop.learn()
    before = head(tmp_path, first)
    assert before.step == first.champion.head.step + 40
    second = follow(tmp_path, first)
    loop = FastLoop(tmp_path / "posterior", second, spool, SPEC)
    same(head(tmp_path, second), before)
    heads = LiveHeads(tmp_path / "posterior", second)
    heads.policy("champion")
    assert heads.step("champion") == before.step, "visible at once: no reward had to come first"
    send(spool, answers[40:])  # decided by release 1, rewarded under release 2
    send(spool, decide(second, spool, 30, seed=2))
    assert loop.learn() == 50
    after = head(tmp_path, second)
    assert after.step == before.step + 50
    same(after, rebuilt(second, "champion", spool, SPEC, until_step=after.step).head)


@pytest.mark.parametrize("pruned", [False, True])
def test_decisions_of_the_new_release_that_the_old_head_passed_over_are_not_lost(tmp_path, first, spool, pruned):
    """Triton loads the release before the reward model has taken it up."""
    loop = FastLoop(tmp_path / "posterior", first, spool, SPEC)
    early = decide(first, spool, 30, seed=1)
    send(spool, early)
    second = follow(tmp_path, first)
    own = decide(second, spool, 20, seed=2)
    send(spool, own[:10])
    late = decide(first, spool, 10, seed=3)
    send(spool, late)
    loop.learn()
    assert head(tmp_path, first).step == first.champion.head.step + 40, "its own 30 and 10"
    everything = rebuilt(second, "champion", spool, SPEC, until_step=first.champion.head.step + 50).head
    if pruned:  # what is a week old leaves the log
        events = [a.event_id for a in early]
        spool.purge(
            [
                (kind, [r for r, body in spool.read(kind) if any(e.encode() in body for e in events)])
                for kind in ("decisions", "rewards")
            ]
        )
    loop = FastLoop(tmp_path / "posterior", second, spool, SPEC)
    loop.learn()
    found = head(tmp_path, second)
    assert found.step == everything.step
    if not pruned:
        same(found, everything)  # in the log's own order: so a replay finds each of its steps
    np.testing.assert_allclose(found.moments.A, everything.moments.A, rtol=0, atol=1e-9)
    np.testing.assert_allclose(found.moments.b, everything.moments.b, rtol=0, atol=1e-9)
    send(spool, own[10:])
    assert loop.learn() == 10


def test_a_log_that_was_pruned_costs_nothing_of_what_was_learnt(tmp_path, first, spool):
    loop = FastLoop(tmp_path / "posterior", first, spool, SPEC)
    send(spool, decide(first, spool, 40, seed=1))
    loop.learn()
    before = head(tmp_path, first)
    spool.purge([(kind, [row for row, _ in spool.read(kind)][:30]) for kind in ("decisions", "rewards")])
    second = follow(tmp_path, first, same_arms=False)
    FastLoop(tmp_path / "posterior", second, spool, SPEC)
    same(head(tmp_path, second), before)
    third = follow(tmp_path, second)
    FastLoop(tmp_path / "posterior", third, spool, SPEC)
    same(head(tmp_path, third), before)


def test_where_features_changed_the_log_is_folded_anew(tmp_path, first, spool):
    loop = FastLoop(tmp_path / "posterior", first, spool, SPEC)
    send(spool, decide(first, spool, 40, seed=1))
    loop.learn()
    second = follow(tmp_path, first, same_arms=False)
    loop = FastLoop(tmp_path / "posterior", second, spool, SPEC)
    assert loop.learn() == 40
    same(head(tmp_path, second), head(tmp_path, first))


def test_a_promotion_takes_along_the_head_before_where_no_reward_has_come_since(tmp_path, first, spool):
    loop = FastLoop(tmp_path / "posterior", first, spool, SPEC)
    send(spool, decide(first, spool, 40, seed=1))
    loop.learn()
    second = follow(tmp_path, first)
    taken = carry_over.newest(tmp_path, second, "champion").policy
    assert taken.head.step == first.champion.head.step + 40
    assert np.array_equal(taken.head.moments.b, head(tmp_path, first).moments.b)
