"""The watch, whole: real selections by hash, a real spool, shipped, joined, judged; only the clock is ours."""

import io
import json
import re
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest

from features.encoder import Encoder
from features.join import join_interval
from features.schema import Arm, Reward
from features.ship import ship
from features.spec import AppSpec
from features.spool import Spool
from features.storage import open_store
from models.simple import FixedArm, Uniform
from serving import evidence, publish, release, rollout, rollout_report, watch
from serving.breaker import Breaker
from serving.requests import Request
from serving.rollout import RolloutReader
from serving.selector import Selector

ARMS = [Arm(arm_id=f"a{i}", features={"price": float(i)}) for i in range(4)]
RATE = {"a0": 0.05, "a1": 0.25, "a2": 0.40, "a3": 0.10}  # uniform: 0.20
START = 1_790_000_000_000_000  # UTC µs
SECOND = 1_000_000


def app_spec(**kwargs):
    return AppSpec.model_validate({
        "reward": {"window_seconds": 5.0, "kinds": {"click": {}}},
        "context": {"age": {"type": "numeric"}}, "arm": {"price": {"type": "numeric"}},
        "policies": {"floor": 0.04}, "rollout": {"min_decisions": 1000} | kwargs,
    })  # fmt: skip


class House:
    """One host in one process: a release in service, its users, and the watch."""

    def __init__(self, path, candidate, seed=0, guards=None, **kwargs):
        self.spec, self.home, self.store = app_spec(**kwargs), path / "home", open_store(str(path / "store"))
        self.spool, self.now, self.rng = Spool(path / "log.db"), START, np.random.default_rng(seed)
        self.guards = guards or {}
        self.release(candidate)

    def release(self, candidate, champion=None):
        def build(folder, number):
            release.write_release(
                folder, number=number, champion=champion or Uniform(), candidate=candidate, arms=ARMS, meta={},
                encoder=Encoder.empty(self.spec, ARMS), floor=0.04,
            )  # fmt: skip

        published = publish.publish(self.store, self.home, build, triton=None, stages=self.spec.rollout.stages)
        state = rollout.start(published.number, now=self.now, stages=self.spec.rollout.stages,
                              shadow=self.spec.rollout.shadow, has_candidate=candidate is not None)  # fmt: skip
        self.store.put(rollout.KEY, state.to_json())  # the clock is ours
        rollout.mirror(state, self.home)
        self.serve_with(published.number)

    def serve_with(self, number, **swapped):
        loaded = release.load(self.home / "triton" / "select_arm" / str(number))
        self.selector = Selector(
            replace(loaded, **swapped), recorder=self.spool, unit_key="key",
            rollout=RolloutReader(self.home / "rollout.json", every=0.0), breaker=Breaker(self.home / "breaker.json"),
            clock=lambda: self.now,
        )  # fmt: skip

    def visits(self, n, units=100_000):
        """n users ask within ten seconds, and click as RATE has it."""
        answers = []
        for _ in range(10):
            requests = [
                Request(unit_id=f"u{u}", context={"age": 30.0}, arms=("a0", "a1", "a2", "a3"))
                for u in self.rng.integers(units, size=n // 10)
            ]
            part = self.selector.select(requests)
            assert not any(a.error for a in part)
            self.spool.append_rewards([
                Reward(event_id=a.event_id, at=self.now + SECOND, kind=kind, value=1.0)
                for a in part
                for kind, rate in ({"click": RATE[a.arm]} | {k: f(a) for k, f in self.guards.items()}).items()
                if self.rng.random() < rate
            ])
            answers += part
            self.now += SECOND
        return answers

    def look(self, **kwargs):
        self.now += 6 * SECOND
        ship(self.spool, self.store, host="h")
        return watch.tick(self.store, self.home, self.spec, self.now, **kwargs)

    def until_decided(self, looks=40, n=1000):
        for _ in range(looks):
            self.visits(n)
            state = self.look()
            if not state.running:
                break
        return state


@pytest.fixture
def house(tmp_path):
    made = []

    def make(candidate, **kwargs):
        made.append(House(tmp_path, candidate, **kwargs))
        return made[-1]

    yield make
    for each in made:
        each.spool.close()


def test_a_good_candidate_climbs_by_itself_and_becomes_champion(house):
    h = house(FixedArm(arm="a2"))
    state = h.until_decided()
    assert [entry["stage"] for entry in state.history] == ["5%", "20%", "50%", "100%"]
    last = state.history[-1]
    assert last["reason"].startswith("shown to be better")
    assert last["evidence"]["lower"] > 0
    assert 0.1 < last["evidence"]["difference"] < 0.3, "the truth: 0.96 × (0.40 − 0.20)"
    assert watch.finish(h.store, h.home, triton=None) == 2
    assert release.load(h.home / "triton" / "select_arm" / "2").champion.arm == "a2"
    assert watch.finish(h.store, h.home, triton=None) is None
    assert h.look().release == 2


def test_hosts_that_promote_at_once_make_one_release_and_a_dead_promoter_is_followed(house, tmp_path):
    h = house(FixedArm(arm="a2"), stages=(1.0,))
    before, results = publish.now_us(), []
    homes = [h.home, tmp_path / "second", tmp_path / "third"]
    racers = [
        threading.Thread(target=lambda home=home: results.append(watch.finish(h.store, home, triton=None)))
        for home in homes
    ]
    [r.start() for r in racers]
    [r.join() for r in racers]
    assert sorted(map(str, results)) == ["2", "None", "None"]
    h.release(FixedArm(arm="a1"))
    number = publish.current(h.store)
    h.store.put(f"rollout/promotion/{number:06d}", str(before).encode())  # leased, then killed
    assert watch.finish(h.store, h.home, triton=None, now=before + 299 * SECOND) is None
    assert watch.finish(h.store, h.home, triton=None, now=before + 300 * SECOND) == number + 1


def test_a_bad_candidate_is_aborted_and_serves_nobody_afterwards(house):
    h = house(FixedArm(arm="a0"))
    state = h.until_decided()
    assert (state.stage, state.share) == ("aborted", 0.0)
    assert "harm shown: reward" in state.history[-1]["reason"]
    assert state.history[-1]["evidence"]["upper"] < 0
    assert {a.role for a in h.visits(2000)} == {"champion"}
    assert h.look() == state, "a look at what is decided changes nothing"


def test_without_data_it_never_moves_but_holds_and_resumes(house):
    h = house(FixedArm(arm="a2"), stale_seconds=60.0)
    assert h.look().stage == "5%"
    h.now += 100 * SECOND
    held = h.look()
    assert "no matured decision for" in held.held
    assert held.share == 0.05
    again = h.look()
    assert len(again.history) <= len(held.history) + 1
    h.visits(2000)
    assert h.look().held == ""


def test_inconclusive_goes_back_to_the_champion(house):
    h = house(Uniform(), max_seconds=100.0)
    state = h.until_decided(looks=10, n=200)
    assert state.stage == "aborted"
    assert state.history[-1]["reason"] == "inconclusive after 100 s"


def test_a_guardrail_aborts_a_candidate_that_earns_more(house):
    report = {"complaint": lambda a: 0.5 if a.role == "candidate" else 0.01}
    h = house(FixedArm(arm="a1"), guards=report, guardrails={"complaint": "higher"})
    state = h.until_decided()
    assert state.stage == "aborted"
    assert state.history[-1]["reason"] == "harm shown: complaint"
    guard = state.history[-1]["evidence"]["guardrails"]
    assert set(guard) == {"fallback", "latency", "complaint"}
    assert not guard["fallback"]["harm"]


class Tardy(FixedArm):
    """Slower than its limit, too quick for the breaker."""

    def pmf(self, batch):
        time.sleep(0.06)
        return super().pmf(batch)


def test_a_slow_candidate_that_earns_more_is_aborted_for_its_latency(house):
    h = house(FixedArm(arm="a2"), stages=(0.5, 1.0), min_decisions=10**6)
    h.serve_with(1, candidate=Tardy(arm="a2"))
    state = h.until_decided(looks=12)
    assert (state.stage, state.share) == ("aborted", 0.0)
    assert state.history[-1]["reason"].startswith("harm shown: latency (p99 ")
    guard = state.history[-1]["evidence"]["guardrails"]["latency"]
    assert (guard["candidate"], guard["harm"]) == (-1.0, True)
    assert guard["champion"] > -0.2
    assert not (h.home / "breaker.json").exists()


def test_decisions_logged_before_latency_was_measured_say_nothing_about_it(house):
    h = house(FixedArm(arm="a2"), stages=(0.5, 1.0), min_decisions=10**6)
    h.serve_with(1, candidate=Tardy(arm="a2"))
    h.selector.recorder = _Older(h.spool, h.rng)
    h.visits(500)
    state = h.look()
    found = evidence.gather(h.store, h.spec, state, h.selector.release, now=h.now).numbers["guardrails"]["latency"]
    assert (found["candidate"], found["champion"], found["log_wealth_harm"]) == (0.0, 0.0, 0.0)


def test_lost_logs_of_the_candidate_are_noticed_and_hold(house):
    h = house(FixedArm(arm="a2"), stages=(0.5, 1.0), margins=(0.0,))
    for _ in range(12):
        keep, h.selector.recorder = h.selector.recorder, _Losing(h.spool, h.rng)
        h.visits(1000)
        h.selector.recorder = keep
        state = h.look()
        if state.held:
            break
    assert "sample ratio at 50%" in state.held
    assert state.share == 0.5


class _Losing:
    """A log that loses a third of the candidate's decisions."""

    def __init__(self, spool, rng):
        self.spool, self.rng = spool, rng

    def append_decisions(self, made):
        self.spool.append_decisions([d for d in made if d.role != "candidate" or self.rng.random() > 0.33])
        return made

    def append_rejects(self, rejects):
        self.spool.append_rejects(rejects)


def test_a_reward_called_latency_stands_beside_the_latency_that_is_always_watched(house):
    h = house(FixedArm(arm="a1"), guards={"latency": lambda a: 0.5}, guardrails={"latency": "higher"})
    h.visits(500)
    state = h.look()
    found = evidence.gather(h.store, h.spec, state, h.selector.release, now=h.now).numbers["guardrails"]
    assert set(found) == {"fallback", "latency", "latency (reward)"}
    assert found["latency"]["says"].startswith("p99 ")
    assert found["latency (reward)"]["champion"] == pytest.approx(-0.5, abs=0.1)


class _Older(_Losing):
    """A log without the column."""

    def append_decisions(self, made):
        self.spool.append_decisions([replace(d, took_us=0) for d in made])
        return made


def test_wrong_propensities_are_noticed_and_hold(house):
    h = house(FixedArm(arm="a2"))

    class Liar(_Losing):
        def append_decisions(self, made):
            """Logs uniform where it drew from a sharper pmf."""
            shown = [replace(d, pmf=(0.25,) * 4, propensity=0.25) if d.role == "candidate" else d for d in made]
            self.spool.append_decisions(shown)
            return made

    h.selector.recorder = Liar(h.spool, h.rng)
    h.visits(4000)
    assert "propensities of the candidate are not those of its draws" in h.look().held


class Nan(FixedArm):
    def pmf(self, batch):
        return np.full(batch.mask.shape, np.nan)


class Errs(FixedArm):
    def pmf(self, batch):
        raise RuntimeError("out of memory")


class Slow(FixedArm):
    def pmf(self, batch):
        time.sleep(0.2 + 0.001 * len(batch))
        return super().pmf(batch)


@pytest.mark.parametrize(("candidate", "reason"), [(Nan, "NaN"), (Errs, "out of memory"), (Slow, "slow: 5 batches")])
def test_a_candidate_that_breaks_is_aborted_at_the_next_look_and_nobody_sees_an_error(house, candidate, reason):
    """`visits` itself refuses any answer with an error."""
    h = house(FixedArm(arm="a2"), stages=(0.5, 1.0))
    h.serve_with(1, candidate=candidate(arm="a2"))
    h.visits(200)
    began = time.monotonic()
    state = h.look()
    assert (state.stage, state.share) == ("aborted", 0.0)
    assert "breaker: candidate: " in state.history[-1]["reason"]
    assert reason in state.history[-1]["reason"]
    assert {a.role for a in h.visits(200)} == {"champion"}
    assert time.monotonic() - began < 5.0


def test_shadow_scores_without_serving_and_goes_on(house):
    h = house(FixedArm(arm="a2"), shadow=True)
    assert h.look().stage == "shadow"
    answers = h.visits(1500)
    assert {a.role for a in answers} == {"champion"}
    state = h.look()
    assert state.stage == "5%"
    logged = pl.read_parquet(io.BytesIO(h.store.get("rollout/shadow/000001.parquet")))
    assert sorted(logged["event_id"]) == sorted(a.event_id for a in answers)
    assert set(map(tuple, logged["pmf"])) == {(0.25,) * 4}
    assert np.allclose(logged["candidate_pmf"].to_list(), [0.01, 0.01, 0.97, 0.01])
    assert state.history[-1]["evidence"]["candidate_ips"] == pytest.approx(0.392, abs=0.08)


def test_the_last_step_waits_for_a_person_where_one_is_wanted(house):
    h = house(FixedArm(arm="a2"), stages=(0.5, 1.0), margins=(0.0,), approval=True)
    for _ in range(3):
        h.visits(1200)
        state = h.look()
    assert state.held == "waiting for a person's approval"
    assert [e["reason"] for e in state.history].count("held: waiting for a person's approval") == 1
    assert h.look(approved=True).share == 1.0


def test_two_watches_at_once_make_one_change(house):
    h = house(FixedArm(arm="a0"))
    h.visits(6000)
    h.now += 6 * SECOND
    ship(h.spool, h.store, host="h")
    results = []
    racers = [
        threading.Thread(target=lambda: results.append(watch.tick(h.store, h.home, h.spec, h.now))) for _ in range(4)
    ]
    [r.start() for r in racers]
    [r.join() for r in racers]
    assert {r.stage for r in results} == {"aborted"}
    assert len(rollout.read_state(h.store).history) == 2


def test_a_new_release_supersedes_and_a_lost_beginning_is_made_up(house):
    h = house(FixedArm(arm="a2"))
    h.release(FixedArm(arm="a1"))
    assert h.look().release == 2
    old = json.loads(h.store.get("rollout/state.json")) | {"release": 1}
    h.store.put("rollout/state.json", json.dumps(old).encode())  # the publisher died before `begin`
    state = h.look()
    assert (state.release, state.stage, state.salt) == (2, "5%", "rollout-2")


def test_the_page_tells_the_whole_rollout_without_a_request_outside(house):
    h = house(FixedArm(arm="a0"))
    state = h.until_decided()
    page = rollout_report.write(h.store, h.home, h.spec, now=h.now).read_text()
    assert "Release 1: aborted" in page
    assert state.history[-1]["reason"] in page
    assert page.count("<svg") == 1
    outside = re.findall(r"(?:src|href)\s*=\s*[\"']?(https?:)?//", page)
    assert outside == []
    candidate, champion, _ = state.history[-1]["evidence"]["units"]["5%"]
    assert f'<td class="n">{candidate}<td class="n">{champion}' in page
    latency = state.history[-1]["evidence"]["guardrails"]["latency"]["says"]
    assert f"latency: {latency}" in page
    assert f"latency {latency}" in page, "what was known"
    h.release(FixedArm(arm="a1"))
    rollout.begin(h.store, rollout.start(2, now=h.now))
    with pytest.raises(KeyError, match="no rollout of a release 9"):
        rollout_report.write(h.store, h.home, h.spec, now=h.now, release=9)


def test_rewards_are_doubly_robust_once_there_is_a_past(house):
    """The champion is uniform over arms worth 0.05 to 0.40: which arm it drew is noise that DR takes out."""
    h = house(None)
    h.visits(4000)
    h.look()
    hours = datetime.fromtimestamp(START / SECOND, UTC), datetime.fromtimestamp(h.now / SECOND + 3600, UTC)
    join_interval(h.store, h.spec.reward, start=hours[0], end=hours[1], now=hours[1])
    h.release(FixedArm(arm="a2"))
    h.visits(6000)
    state = h.look()
    loaded = h.selector.release
    rows = evidence.compared(evidence.decisions(h.store, h.spec.reward, state, now=h.now), state, loaded)
    before = evidence.earlier(h.store, state, loaded)
    assert len(before) == 4000
    score, champion = evidence.doubly_robust(rows.log, before), ~rows.assigned
    assert score[champion].mean() == pytest.approx(0.20, abs=0.02)
    assert score[~champion].mean() == pytest.approx(0.04 * 0.20 + 0.96 * 0.40, abs=0.10)
    assert score[champion].var() < 0.92 * rows.log.reward[champion].var()
    np.testing.assert_array_equal(evidence.doubly_robust(rows.log, None), rows.log.reward)
