"""What the fast loop learnt since the training window's end is in the released head, whatever happens in between."""

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from croupier.features import clock
from croupier.features.encoding.dataset import encode_interactions
from croupier.features.interactions.join import join_interval
from croupier.features.interactions.versions import read_interactions
from croupier.features.log.ship import prune, ship
from croupier.features.log.spool import Spool
from croupier.features.schema import RETURNED, Reward
from croupier.features.spec import RewardSpec, RolloutSpec
from croupier.features.store import layout
from croupier.features.store.storage import open_store
from croupier.features.utc import SECOND, to_us
from croupier.models import policy
from croupier.serving.decide.selector import Selector
from croupier.serving.learning import learning_scope
from croupier.serving.learning.fast_loop import FastLoop, rebuilt
from croupier.serving.learning.head_file import HeadFile
from croupier.serving.operate import publish, watch
from croupier.serving.release import bundle as releases
from croupier.serving.release import rollout_mirror, rollout_state, rollout_store
from croupier.serving.release.rollout_mirror import RolloutReader
from tests.serving import apps

pytestmark = pytest.mark.medium
START = datetime(2026, 3, 28, 22, tzinfo=UTC)
T0 = to_us(START)
END = T0 + 1000 * SECOND  # of the training window
RULE = RewardSpec(window_seconds=60, default=-0.5, range=(-5.0, 5.0))


class Host:
    """One host in one process, on its own clock: a log, the releases it serves, and the learner that may die."""

    def __init__(self, path, seed):
        self.home, self.store, self.rng = path / "app", open_store(str(path / "store")), random.Random(seed)
        self.spool = Spool(self.home / "spool" / "log.db", durability="NORMAL")
        self.now, self.asked = T0, 0

    def publish(self, champion, candidate, learning):
        def build(folder, number):
            world = apps.sample()
            releases.write_release(
                folder,
                number=number,
                champion=champion,
                candidate=candidate,
                encoder=world.encoder,
                arms=world.arms,
                floor=0.02,
                meta={learning_scope.META: learning} if learning else {},
            )

        with clock.at(self.now):
            self.serve(publish.publish(self.store, self.home, build, triton=None, stages=(1.0,)).number)

    def serve(self, number):
        self.release = releases.load(self.home / "triton" / "select_arm" / str(number))
        self.selector = Selector(self.release, recorder=self.spool, rollout=None, unit_key="k", clock=lambda: self.now)
        self.learner()

    def learner(self):
        self.loop = FastLoop(self.home / layout.HEADS, self.release, self.spool, RULE)
        self.loop.learn()

    def visits(self, n):
        """A visit a second; half of them are rewarded: at once, later in the window, late, twice, or after a while."""
        for request in apps.sample().requests(n, seed=self.asked):
            self.asked, self.now = self.asked + 1, self.now + SECOND
            (answer,) = self.selector.select([replace(request, event_id=f"e{self.asked}")])
            for _ in range(self.rng.choice([0, 0, 1, 2])):
                at, value = self.now + self.rng.choice([0, 20, 60, 61]) * SECOND, self.rng.choice([0.0, 1.0, 2.0])
                made = Reward(event_id=answer.event_id, at=at, kind="click", value=value)
                if self.rng.random() < 0.7:
                    self.spool.append_rewards([made])
                else:
                    self.pending.append(made)
            self.fate()

    pending: list[Reward]

    def fate(self):
        chance = self.rng.random()
        if chance < 0.1 and self.pending:
            self.spool.append_rewards([self.pending.pop()])
        if chance < 0.3:
            self.loop.learn()
        elif chance < 0.4:
            self.loop.close_windows(self.now)
        elif chance < 0.43:
            self.learner()  # killed, and begun again
        elif chance < 0.45:
            path = layout.head(self.home / layout.HEADS, self.release.number, "champion")
            if path.exists():
                path.write_bytes(path.read_bytes()[:-8] + b"\1" * 8)  # torn
                self.learner()

    def settle(self):
        """All rewards are here, and all windows over."""
        self.spool.append_rewards(self.pending)
        self.pending.clear()
        self.loop.learn()
        self.loop.close_windows(self.now + 10**5 * SECOND)

    def joined(self):
        ship(self.spool, self.store, host="h")
        span = {"start": START - timedelta(hours=1), "end": START + timedelta(hours=9)}
        join_interval(self.store, RULE, **span, now=START + timedelta(days=20))
        return read_interactions(self.store, **span)

    def head(self, role="champion"):
        held = getattr(self.release, role)
        path = layout.head(self.home / layout.HEADS, self.release.number, role)
        return HeadFile(path, d=len(held.head.moments.b), digest=self.release.manifest["digest"]).read()


@pytest.fixture
def host(tmp_path, request):
    made = Host(tmp_path, getattr(request, "param", 0))
    made.pending = []
    yield made
    made.spool.close()


def encoded(rows):
    world = apps.sample()
    return encode_interactions(rows, world.encoder, world.encoder.catalogue(world.arms))


def trained_on_the_window(host, before=END):
    rows = host.joined().filter(pl.col("at") < before)
    return policy.make("lin_ts").learn([encoded(rows)], seed=1), len(rows)


def assert_is_batch(moments, trained, rows):
    """At 1e-9, relative to the largest number."""
    expected = trained.update([encoded(rows)]).head.moments
    assert moments.n == pytest.approx(expected.n, abs=1e-9)
    for name in ("A", "b", "rr"):
        found, truth = getattr(moments, name), getattr(expected, name)
        assert np.abs(found - truth).max() <= 1e-9 * max(1.0, np.abs(truth).max()), name


@pytest.mark.parametrize("host", range(2), indirect=True)
def test_a_refreshed_head_is_the_batch_posterior_over_window_and_later_rewards(host):
    """Release 1 decides before and after the window's end; the refresh is released later; a part of the rewards of what
    release 1 decided comes under release 2, and of 2's under 3, into which the refreshed policy is promoted."""
    host.publish(apps.trained("lin_ts"), None, {})
    host.visits(60)
    host.now = END - 20 * SECOND
    host.visits(20)
    host.settle()
    refreshed, rows = trained_on_the_window(host)
    assert rows == 79
    host.now = max(host.now, END)
    host.visits(40)  # while it is trained and judged
    host.publish(host.release.champion, refreshed, {"candidate": learning_scope.trained(END)})
    assert host.head("candidate").step > refreshed.head.step, "learnt at once: what came before it was released"
    host.visits(40)
    with clock.at(host.now):
        assert watch.finish(host.store, host.home, triton=None, spec=RolloutSpec()) == 3
    carried = releases.load(host.home / "triton" / "select_arm" / "3")
    assert carried.champion.head.step > refreshed.head.step + 40
    entry = carried.manifest["meta"][learning_scope.META]["champion"]
    assert (entry["since"], entry["spool"]) == (END, host.spool.id)
    host.visits(15)  # by release 2 still: it is being loaded
    host.serve(3)
    host.visits(30)
    host.settle()
    later = host.joined().filter(pl.col("at") >= END)
    assert len(later) == 126
    assert set(later["release"]) == {1, 2, 3}
    assert_is_batch(host.head().moments, refreshed, later)
    live, middle = host.head(), (carried.champion.head.step + host.head().step) // 2
    assert rebuilt(host.release, "champion", host.spool, RULE, until_step=middle).head.step == middle
    whole = rebuilt(host.release, "champion", host.spool, RULE, until_step=live.step).head
    assert np.array_equal(whole.moments.A, live.moments.A)
    assert np.array_equal(whole.moments.b, live.moments.b)


def test_while_a_candidate_is_tried_either_role_learns_from_its_own_decisions(host):
    """Both from what was decided before. What is promoted is the head that was tried, and learns from all again."""
    first, second = apps.trained("lin_ts"), apps.trained("lin_ts")
    host.publish(first, None, {"champion": learning_scope.trained(T0)})
    host.visits(20)
    entry = learning_scope.trained(T0)
    host.publish(first, second, learning_scope.apart({"champion": entry, "candidate": entry}))
    half = rollout_state.start(host.release.number, now=host.now, stages=(0.5, 1.0))
    rollout_mirror.mirror(half, host.home)
    host.selector.rollout = RolloutReader(host.home / "rollout.json", every=0.0)
    host.visits(60)
    host.settle()
    rows = host.joined()
    other = {"champion": "candidate", "candidate": "champion"}
    own = {role: rows.filter((pl.col("release") == 1) | (pl.col("role") != other[role])) for role in other}
    assert len(rows) == 80
    assert all(25 < len(part) < 75 for part in own.values()), "what nobody could answer in time, both learn"
    assert_is_batch(host.head("champion").moments, first, own["champion"])
    assert_is_batch(host.head("candidate").moments, second, own["candidate"])
    with clock.at(host.now):
        host.serve(watch.finish(host.store, host.home, triton=None))
    assert_is_batch(host.release.champion.head.moments, second, own["candidate"])
    assert learning_scope.APART not in host.release.manifest["meta"][learning_scope.META]["champion"]
    host.visits(10)
    host.settle()
    later = host.joined().filter(pl.col("release") == 3)
    assert_is_batch(host.head().moments, second, pl.concat([own["candidate"], later]))


def test_the_kept_back_predecessor_goes_on_learning_and_returns_with_it(host):
    first = apps.trained("lin_ts")
    host.publish(first, None, {"champion": learning_scope.trained(T0)})
    host.visits(20)
    host.publish(first, apps.trained("lin_ts"), {"champion": learning_scope.trained(T0)})
    host.visits(20)
    settings = RolloutSpec(holdout=0.1)
    with clock.at(host.now):
        number = watch.finish(host.store, host.home, triton=None, spec=settings)
    host.serve(number)
    assert host.release.candidate.head.step > first.head.step, "what it learnt came along"
    host.visits(20)
    host.settle()
    later = host.joined()
    assert_is_batch(host.head("candidate").moments, first, later)
    harm = RETURNED
    rollout_store.change(host.store, lambda s: rollout_state.settle(s, harm, 1.0, "harm", now=host.now, by="t"))
    with clock.at(host.now + 10**9):
        number = watch.finish(host.store, host.home, triton=None, spec=settings)
    back = releases.load(host.home / "triton" / "select_arm" / str(number))
    assert_is_batch(back.champion.head.moments, first, later)
    host.serve(number)
    host.visits(5)
    host.settle()
    assert_is_batch(host.head().moments, first, host.joined())


def test_on_another_host_the_head_learns_that_hosts_own_later_decisions(host, tmp_path):
    trained = apps.trained("lin_ts")
    entry = {"since": T0 + 30 * SECOND, "spool": "another", "cursor": 10**6, "closing": 10**6}
    host.publish(trained, None, {})
    host.visits(60)
    host.publish(trained, None, {"champion": entry})
    host.settle()
    rows = host.joined().filter(pl.col("at") >= T0 + 30 * SECOND)
    assert len(rows) == 31
    assert_is_batch(host.head().moments, trained, rows)


def test_what_a_release_cannot_encode_is_left_out(host):
    """An arm and a feature that this release has never heard of; the log holds them beside what it can learn."""
    trained = apps.trained("lin_ts")
    host.publish(trained, None, {})
    host.visits(10)
    seen = list(host.spool.find([f"e{i}" for i in range(1, 11)]).values())
    strange = replace(seen[0], event_id="s1", arms=(*seen[0].arms, "new"), pmf=(*seen[0].pmf, 0.0), release=0)
    other = replace(seen[1], event_id="s2", context=seen[1].context | {"moon": "full"}, release=0)
    host.spool.append_decisions([strange, other])
    host.publish(trained, None, {"champion": learning_scope.trained(T0)})
    host.settle()
    rows = host.joined().filter(pl.col("event_id").is_in(["s1", "s2"]).not_())
    assert len(rows) == 10
    assert_is_batch(host.head().moments, trained, rows)


def test_without_an_entry_a_release_learns_its_own_decisions_alone(host):
    trained = apps.trained("lin_ts")
    host.publish(trained, None, {})
    host.visits(20)
    host.publish(trained, None, {})
    host.visits(10)
    host.settle()
    assert_is_batch(host.head().moments, trained, host.joined().filter(release=2))
    assert host.head().moments.n == trained.head.moments.n + 10


def test_a_head_goes_on_after_its_log_was_pruned(host):
    """Seven days later all that it learnt from is gone, closings too; what comes then is learnt on top."""
    trained = apps.trained("lin_ts")
    host.publish(trained, None, {"champion": learning_scope.trained(T0)})
    host.visits(20)
    host.settle()
    before, rows = host.head(), host.joined()
    host.now += 8 * 86_400 * SECOND
    host.visits(1)
    ship(host.spool, host.store, host="h")
    assert prune(host.spool, host.store, before=host.now - SECOND) >= 20
    assert host.spool.db.execute("SELECT count(*) FROM closings").fetchone() == (1,)
    host.learner()
    host.visits(9)
    host.settle()
    assert before.step < host.head().step
    assert host.head().moments.n == trained.head.moments.n + len(rows) + 10
