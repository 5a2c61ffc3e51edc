"""The watch, whole: how a candidate climbs, falls, waits, and is succeeded."""

import io
import json
import re
import threading
from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest

from croupier.features.clock import now_us
from croupier.features.interactions.join import join_interval
from croupier.features.log.ship import ship
from croupier.models.baselines import FixedArm, Uniform
from croupier.serving.evidence import comparison, dr_rewards
from croupier.serving.operate import rollout_page, watch
from croupier.serving.release import bundle, bundle_store, rollout_state, rollout_store
from tests.serving.watched import SECOND, START


@pytest.mark.medium
def test_a_good_candidate_climbs_by_itself_and_becomes_champion(house):
    h = house(FixedArm(arm="a2"))
    state = h.until_decided()
    assert [entry["stage"] for entry in state.history] == ["5%", "20%", "50%", "100%"]
    last = state.history[-1]
    assert last["reason"].startswith("shown to be better")
    assert last["evidence"]["lower"] > 0
    assert 0.1 < last["evidence"]["difference"] < 0.3, "the truth: 0.96 × (0.40 − 0.20)"
    assert watch.finish(h.store, h.home, triton=None) == 2
    assert bundle.load(h.home / "triton" / "select_arm" / "2").champion.arm == "a2"
    assert watch.finish(h.store, h.home, triton=None) is None
    assert h.look().release == 2


def test_hosts_that_promote_at_once_make_one_release_and_a_dead_promoter_is_followed(house, tmp_path):
    h = house(FixedArm(arm="a2"), stages=(1.0,))
    before, results = now_us(), []
    homes = [h.home, tmp_path / "second", tmp_path / "third"]
    racers = [
        threading.Thread(target=lambda home=home: results.append(watch.finish(h.store, home, triton=None)))
        for home in homes
    ]
    [r.start() for r in racers]
    [r.join() for r in racers]
    assert sorted(map(str, results)) == ["2", "None", "None"]
    h.release(FixedArm(arm="a1"))
    number = bundle_store.current(h.store)
    h.store.put(f"rollout/promotion/{number:06d}", str(before).encode())  # leased, then killed
    assert watch.finish(h.store, h.home, triton=None, now=before + 299 * SECOND) is None
    assert watch.finish(h.store, h.home, triton=None, now=before + 300 * SECOND) == number + 1


@pytest.mark.medium
def test_a_lease_of_a_clock_that_was_ahead_has_run_out(house):
    """Whoever held it died; a second host waits five minutes of its own clock, and not until that time comes."""
    h, now = house(FixedArm(arm="a2")), 10**15
    h.store.put("lease", str(now + 400 * 86_400 * 10**6).encode())
    assert watch._leased(h.store, "lease", now)
    assert not watch._leased(h.store, "lease", now + 299 * 10**6)
    assert not watch._leased(h.store, "lease", now - 10 * 10**6), "hosts' clocks differ"
    assert watch._leased(h.store, "lease", now + 300 * 10**6)


def test_a_bad_candidate_is_aborted_and_serves_nobody_afterwards(house):
    h = house(FixedArm(arm="a0"))
    state = h.until_decided()
    assert (state.stage, state.share) == ("aborted", 0.0)
    assert "harm shown: reward" in state.history[-1]["reason"]
    assert state.history[-1]["evidence"]["upper"] < 0
    assert {a.role for a in h.visits(2000)} == {"champion"}
    assert h.look() == state, "a look at what is decided changes nothing"


@pytest.mark.medium
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


@pytest.mark.medium
def test_inconclusive_goes_back_to_the_champion(house):
    h = house(Uniform(), max_seconds=100.0)
    state = h.until_decided(looks=10, n=200)
    assert state.stage == "aborted"
    assert state.history[-1]["reason"] == "inconclusive after 100 s"


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


@pytest.mark.medium
def test_the_last_step_waits_for_a_person_where_one_is_wanted(house):
    h = house(FixedArm(arm="a2"), stages=(0.5, 1.0), margins=(0.0,), approval=True)
    for _ in range(3):
        h.visits(1200)
        state = h.look()
    assert state.held == "waiting for a person's approval"
    assert [e["reason"] for e in state.history].count("held: waiting for a person's approval") == 1
    assert h.look(approved=True).share == 1.0


@pytest.mark.medium
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
    assert len(rollout_store.read_state(h.store).history) == 2


def test_a_new_release_supersedes_and_a_lost_beginning_is_made_up(house):
    h = house(FixedArm(arm="a2"))
    h.release(FixedArm(arm="a1"))
    assert h.look().release == 2
    old = json.loads(h.store.get("rollout/state.json")) | {"release": 1}
    h.store.put("rollout/state.json", json.dumps(old).encode())  # the publisher died before `begin`
    state = h.look()
    assert (state.release, state.stage, state.salt) == (2, "5%", "rollout-2")


@pytest.mark.medium
def test_the_page_tells_the_whole_rollout_without_a_request_outside(house):
    h = house(FixedArm(arm="a0"))
    state = h.until_decided()
    page = rollout_page.write(h.store, h.home, h.spec, now=h.now).read_text()
    assert "Release 1: aborted" in page
    assert state.history[-1]["reason"] in page
    assert page.count('<svg class="chart"') == 3
    outside = re.findall(r"(?:src|href)\s*=\s*[\"']?(https?:)?//", page)
    assert outside == []
    candidate, champion, _ = state.history[-1]["evidence"]["units"]["5%"]
    assert re.search(rf'<td class="n">{candidate}</td>\s*<td class="n">{champion}</td>', page)
    latency = state.history[-1]["evidence"]["guardrails"]["latency"]["says"]
    assert f"latency: {latency}" in page
    assert f"latency {latency}" in page, "what was known"
    h.release(FixedArm(arm="a1"))
    rollout_store.begin(h.store, rollout_state.start(2, now=h.now))
    with pytest.raises(KeyError, match="no rollout of a release 9"):
        rollout_page.write(h.store, h.home, h.spec, now=h.now, release=9)


@pytest.mark.medium
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
    rows = comparison.compared(comparison.decisions(h.store, h.spec.reward, state, now=h.now), state, loaded)
    before = dr_rewards.earlier(h.store, state, loaded)
    assert len(before) == 4000
    score, champion = dr_rewards.doubly_robust(rows.log, before), ~rows.assigned
    assert score[champion].mean() == pytest.approx(0.20, abs=0.02)
    assert score[~champion].mean() == pytest.approx(0.04 * 0.20 + 0.96 * 0.40, abs=0.10)
    assert score[champion].var() < 0.92 * rows.log.reward[champion].var()
    np.testing.assert_array_equal(dr_rewards.doubly_robust(rows.log, None), rows.log.reward)
