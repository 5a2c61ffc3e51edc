"""Click-only apps: an event without a reward comes to the default when its window closes, once, whatever crashes."""

import random
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from croupier.features.clock import now_us
from croupier.features.interactions.join import join_interval
from croupier.features.interactions.versions import read_interactions
from croupier.features.log.ship import ship
from croupier.features.log.spool import Spool
from croupier.features.schema import Reward
from croupier.features.spec import KindSpec, RewardSpec
from croupier.features.store import layout
from croupier.features.store.storage import open_store
from croupier.features.utc import to_us
from croupier.models.bayesian.posterior import RidgeMoments
from croupier.serving.decide.selector import Selector
from croupier.serving.learning import carry_over
from croupier.serving.learning.fast_loop import FastLoop, rebuilt
from croupier.serving.learning.head_file import HeadFile
from croupier.serving.operate import succession
from croupier.serving.release.bundle import load as load_release
from croupier.serving.triton.outcomes import TakeRewards
from tests.serving import apps

SECOND = 1_000_000
START = datetime(2026, 3, 28, 22, tzinfo=UTC)
T0 = to_us(START)


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    return apps.write(tmp_path_factory.mktemp("app"), apps.trained("lin_ts"), apps.trained("lin_ts"))


def head(folder, release, role="champion"):
    path = layout.head(folder, release.number, role)
    return HeadFile(path, d=len(release.champion.head.moments.b), digest=release.manifest["digest"]).read()


def decisions(release, tmp_path, n):
    """n decisions of the release as it makes them, a part of them the candidate's, every third thinned to p."""
    spool = Spool(tmp_path / "made.db", durability="NORMAL")
    answers = Selector(release, recorder=spool, rollout=None, unit_key="k").select(apps.sample().requests(n))
    made = spool.find([a.event_id for a in answers])
    spool.close()
    ordered = [made[a.event_id] for a in answers]
    return [
        replace(
            d,
            at=T0 + i * SECOND,
            role=("champion", "candidate")[i % 2],
            release=1 if i % 7 else 9,
            pass_probability=(1.0, 0.25, 0.6)[i % 3],
        )
        for i, d in enumerate(ordered)
    ]


def schedule(made, rng):
    """(when it reaches this host, event): a decision near its time, or long after (a client's own); rewards early by
    skew, on time, at the edges, late, repeated, out of order, or arriving long after they were stamped."""
    events = []
    for d in made:
        events.append((d.at + rng.choice([0, 0, 0, 100, 4000]) * SECOND, d))
        for _ in range(rng.choice([0, 0, 1, 1, 2, 4])):
            at = d.at + rng.choice([-3601, -3600, -5, 0, 20, 59, 60, 61, 400]) * SECOND
            kind, name = rng.choice(["click", "watch", "rate", "top", "noise"]), rng.choice(["", "", "r1", "r2"])
            r = Reward(event_id=d.event_id, at=at, kind=kind, value=rng.choice([0.0, 0.5, 1.0, -1.0]), reward_id=name)
            events += [(max(at, T0) + rng.choice([0, 0, 1, 500, 9000]) * SECOND, r)] * rng.choice([1, 1, 2])
    return sorted(events, key=lambda e: e[0])


def spec(rng):
    hows = ["first", "last", "sum", "max"]
    rng.shuffle(hows)
    kinds = {
        k: KindSpec(how=h, weight=rng.choice([1.0, 0.5]), clip=rng.choice([None, (0.0, 1.0)]))
        for k, h in zip(("click", "watch", "rate", "top"), hows, strict=True)
    }
    return RewardSpec(window_seconds=60, default=rng.choice([0.0, -0.5]), range=(-100.0, 100.0), kinds=kinds)


def put(spool, event):
    if isinstance(event, Reward):
        spool.append_rewards([event])
    else:
        spool.append_decisions([event])


def play(tmp_path, release, events, *, spool, rule, rng):
    """All of it, with the learner now and then closing, dying (a new one begins) and finding its file torn."""
    loop = FastLoop(tmp_path / "live", release, spool, rule)
    for when, event in events:
        put(spool, event)
        fate = rng.random()
        if fate < 0.3:
            loop.learn()
        elif fate < 0.5:
            loop.close_windows(when + rng.choice([-100, 0, 0]) * SECOND)  # the clock may go back
        elif fate < 0.55:
            loop = FastLoop(tmp_path / "live", release, spool, rule)
        elif fate < 0.57:
            path = layout.head(tmp_path / "live", 1, "champion")
            path.write_bytes(path.read_bytes()[:-8] + b"\1" * 8)
            loop = FastLoop(tmp_path / "live", release, spool, rule)
    loop.learn()
    loop.close_windows(T0 + 10**6 * SECOND)
    return loop


def batch(release, spool, store, rule):
    """The posterior over what the slow loop's join makes of the same log."""
    ship(spool, store, host="h")
    span = {"start": START - timedelta(hours=2), "end": START + timedelta(hours=9)}
    join_interval(store, rule, **span, now=START + timedelta(days=20))
    policy, moments = release.champion, release.champion.head.moments
    for d in spool.find(read_interactions(store, **span)["event_id"].to_list()).values():
        if d.release == release.number:
            row = read_interactions(store, **span).filter(event_id=d.event_id).row(0, named=True)
            one = release.encoder.encode([d.context], [d.arms], [d.arm_context], release.catalogue)
            phi = policy.features(one, np.array([d.arms.index(d.arm)]))
            r, weight = policy.standardise(np.array([row["reward"]])), np.array([1 / row["pass_probability"]])
            moments = moments + RidgeMoments.of(phi, r, weight)
    return moments


def assert_same_bits(a, b):
    assert (a.step, a.cursor, a.closing) == (b.step, b.cursor, b.closing)
    assert np.array_equal(a.moments.A, b.moments.A)
    assert np.array_equal(a.moments.b, b.moments.b)
    assert (a.moments.rr, a.moments.n) == (b.moments.rr, b.moments.n)


@pytest.mark.medium
@pytest.mark.parametrize("seed", range(8))
def test_the_head_is_the_batch_posterior_over_the_joined_log_after_any_crash(tmp_path, release, seed):
    rng = random.Random(seed)
    spool, rule = Spool(tmp_path / "log.db", durability="NORMAL"), spec(rng)
    play(tmp_path, release, schedule(decisions(release, tmp_path, 40), rng), spool=spool, rule=rule, rng=rng)
    live = head(tmp_path / "live", release)
    FastLoop(tmp_path / "afresh", release, spool, rule).learn()
    assert_same_bits(head(tmp_path / "afresh", release), live)
    middle = (release.champion.head.step + live.step) // 2
    assert rebuilt(release, "champion", spool, rule, until_step=middle).head.step == middle
    expected = batch(release, spool, open_store(str(tmp_path / "store")), rule)
    assert live.moments.n == pytest.approx(expected.n, abs=1e-9)
    for name in ("A", "b", "rr"):
        found, truth = getattr(live.moments, name), getattr(expected, name)
        assert np.abs(found - truth).max() <= 1e-9 * max(1.0, np.abs(truth).max()), name
    spool.close()


def test_a_default_is_learnt_once_and_a_reward_in_its_window_corrects_it(tmp_path, release):
    spool, rule = Spool(tmp_path / "log.db", durability="NORMAL"), RewardSpec(window_seconds=60)
    d = replace(decisions(release, tmp_path, 2)[1], pass_probability=0.25)
    spool.append_decisions([d])
    loop = FastLoop(tmp_path / "live", release, spool, rule)
    base = release.champion.head
    assert loop.close_windows(d.at + 59_999_999) == 0
    assert [loop.close_windows(d.at + 60_000_000) for _ in range(3)] == [1, 0, 0]
    closed = head(tmp_path / "live", release)
    assert closed.moments.n == pytest.approx(base.moments.n + 4)  # 1/pass_probability
    spool.append_rewards([Reward(event_id=d.event_id, at=d.at + 60_000_001, kind="click", value=1.0)])
    assert loop.learn() == 0  # late by its stamp: moves nothing
    spool.append_rewards([Reward(event_id=d.event_id, at=d.at + 60_000_000, kind="click", value=1.0, reward_id="x")])
    assert loop.learn() == 1
    mended = head(tmp_path / "live", release)
    assert mended.moments.n == closed.moments.n
    assert np.array_equal(mended.moments.A, closed.moments.A)
    assert np.abs(mended.moments.b - closed.moments.b).max() > 0
    spool.close()


def test_the_reward_model_closes_windows_without_being_called(tmp_path):
    """Printed: how long after the window's end the default was in the head's file."""
    (tmp_path / "app.toml").write_text("[reward]\nwindow_seconds = 0.5\n[policies]\nfast_loop = true\n")
    loaded = apps.write(tmp_path, apps.trained("lin_ts"))
    made = decisions(loaded, tmp_path, 2)[1]
    service = TakeRewards({"model_repository": str(tmp_path / "triton" / "reward")})
    try:
        at = now_us()
        service.spool.append_decisions([replace(made, at=at)])
        until = time.monotonic() + 60
        while (state := head(tmp_path / layout.HEADS, loaded)) is None and time.monotonic() < until:
            time.sleep(0.002)
        print(f"a default is in the head {(now_us() - at) / 1e3 - 500:.0f} ms after its window's end")
        assert state is not None
        assert state.step == loaded.champion.head.step + 1
        assert now_us() >= at + 500_000
    finally:
        service.close()


def test_a_promoted_candidate_takes_along_what_it_learnt(tmp_path):
    loaded = apps.write(tmp_path, apps.trained("lin_ts"), apps.trained("lin_ts"))
    spool = Spool(tmp_path / "log.db", durability="NORMAL")
    spool.append_decisions([replace(d, release=1) for d in decisions(loaded, tmp_path, 5)])
    FastLoop(tmp_path / layout.HEADS, loaded, spool, RewardSpec(window_seconds=60)).close_windows(T0 + 10**6 * SECOND)
    learnt = head(tmp_path / layout.HEADS, loaded, "candidate")
    heir = succession.Heir(champion=carry_over.newest(tmp_path, loaded, "candidate"))
    succession.again(loaded, heir, tmp_path / "2", 2, role="candidate", by="test")
    again = load_release(tmp_path / "2").champion.head
    assert again.step == learnt.step == loaded.candidate.head.step + 5
    assert np.array_equal(again.moments.b, learnt.moments.b)
    spool.close()
