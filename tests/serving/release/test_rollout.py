"""The state machine, membership, the compare-and-swap and the mirror."""

import json
import os
import threading
import time

import numpy as np
import pytest

from croupier.features.ids import hash_unit
from croupier.features.store.storage import open_store
from croupier.serving.release import rollout_mirror, rollout_state, rollout_store
from croupier.serving.release.rollout_mirror import RolloutReader
from croupier.serving.release.rollout_state import RolloutRefused, RolloutState

STAGES = (0.05, 0.2, 0.5, 1.0)


def at_first(release=7, **kwargs):
    return rollout_state.start(release, now=1_000_000, **kwargs)


def test_climbs_stage_by_stage_and_no_further():
    state = at_first()
    seen = [(state.stage, state.share)]
    for n in range(3):
        state = rollout_state.advance(state, "by hand", now=2_000_000 + n, by="me")
        seen.append((state.stage, state.share))
    assert seen == [("5%", 0.05), ("20%", 0.2), ("50%", 0.5), ("100%", 1.0)]
    assert [entry["stage"] for entry in state.history] == ["5%", "20%", "50%", "100%"]
    assert state.since == 2_000_002
    with pytest.raises(RolloutRefused, match="at 100% already"):
        rollout_state.advance(state, "again", now=3_000_000, by="me")


def test_shadow_comes_before_the_first_stage_and_a_release_without_candidate_exposes_nobody():
    shadow = at_first(shadow=True)
    assert (shadow.stage, shadow.share) == ("shadow", 0.0)
    assert rollout_state.advance(shadow, "scored well", now=2, by="me").share == 0.05
    alone = at_first(has_candidate=False)
    assert (alone.stage, alone.share) == ("none", 0.0)
    with pytest.raises(RolloutRefused, match="release 7 is none"):
        rollout_state.advance(alone, "why not", now=2, by="me")


def test_aborted_is_for_good_and_said_once():
    gone = rollout_state.abort(at_first(), "clicks fell", now=5, by="me", evidence={"upper": -0.01})
    assert (gone.stage, gone.share) == ("aborted", 0.0)
    assert gone.history[-1]["evidence"] == {"upper": -0.01}
    assert rollout_state.abort(gone, "again", now=6, by="me") == gone
    with pytest.raises(RolloutRefused, match="release 7 is aborted"):
        rollout_state.advance(gone, "please", now=7, by="me")


def test_held_keeps_share_and_clock_and_names_its_reason():
    held = rollout_state.hold(at_first(), "sample ratio", now=9, by="watch")
    assert (held.share, held.since, held.held) == (0.05, 1_000_000, "sample ratio")
    assert rollout_state.hold(held, "sample ratio", now=10, by="watch") == held
    assert rollout_state.advance(held, "it was us", now=11, by="me").held == ""


@pytest.mark.parametrize("stages", [(), (0.5, 0.2, 1.0), (0.05, 0.5), (0.0, 1.0), (0.2, 0.2, 1.0)])
def test_stages_that_cannot_be_climbed_are_refused(stages):
    with pytest.raises(ValueError, match="rollout stages: found"):
        at_first(stages=stages)


def test_json_round_trip_and_a_share_out_of_range():
    state = rollout_state.advance(at_first(), "x", now=2, by="me", evidence={"lower": 0.1})
    assert RolloutState.from_json(state.to_json()) == state
    row = json.loads(state.to_json()) | {"share": 1.5}
    with pytest.raises(ValueError, match=r"found 1\.5"):
        RolloutState.from_json(json.dumps(row).encode())


def members(units, salt="rollout-7"):
    """Every unit's place in [0, 1): the same call as in_candidate, once for all shares."""
    return np.array([rollout_state.uniform01(salt, unit) for unit in units])


@pytest.mark.parametrize("n", [20_000, pytest.param(1_000_000, marks=pytest.mark.full)])
def test_membership_is_sticky_monotone_and_true_to_the_share(n):
    units = [f"{i:032x}" for i in range(n)]
    place = members(units)
    before = np.zeros(n, bool)
    for share in STAGES:
        now = place < share
        assert not (before & ~now).any(), "a unit left on the way up"
        assert abs(now.mean() - share) <= max(0.001, 3.5 * (share * (1 - share) / n) ** 0.5)
        before = now
    some = range(0, n, max(1, n // 500))
    assert [rollout_state.in_candidate("rollout-7", units[i], 0.2) for i in some] == [
        bool(place[i] < 0.2) for i in some
    ]
    assert np.corrcoef(place, members(units, "rollout-8"))[0, 1] < 0.02, "another release draws other units"


def test_membership_is_the_same_everywhere():
    assert rollout_state.uniform01("rollout-7", hash_unit("key", "ann")) == pytest.approx(0.8243490020403001, abs=1e-15)


def test_begin_supersedes_the_old_release_and_keeps_its_history(tmp_path):
    store = open_store(str(tmp_path))
    assert rollout_store.read_state(store) is None
    first = rollout_store.begin(store, at_first(1))
    second = rollout_store.begin(store, at_first(2))
    assert rollout_store.read_state(store) == second
    assert RolloutState.from_json(store.get("rollout/history/000001.json")) == first
    assert rollout_store.begin(store, at_first(1)) == second, "a late beginner does not turn the clock back"


def test_of_two_changes_made_from_one_state_one_wins_and_the_other_is_refused(tmp_path):
    store = open_store(str(tmp_path))
    for race in range(25):
        rollout_store.begin(store, at_first(race + 1))
        gate, out = threading.Barrier(2), []

        def step(state, gate=gate):
            gate.wait()
            return rollout_state.advance(state, "race", now=2, by=threading.current_thread().name)

        def run(out=out, step=step):
            try:
                out.append(rollout_store.change(store, step).share)
            except RolloutRefused as error:
                out.append(str(error))

        racers = [threading.Thread(target=run) for _ in range(2)]
        [r.start() for r in racers]
        [r.join() for r in racers]
        assert 0.2 in out
        assert any("changed meanwhile" in str(o) for o in out)
        assert [entry["share"] for entry in rollout_store.read_state(store).history] == [0.05, 0.2]


def test_an_abort_insists_where_an_advance_gives_way(tmp_path):
    store = open_store(str(tmp_path))
    rollout_store.begin(store, at_first())
    calls = []

    def step(state):
        if not calls:
            rollout_store.change(store, lambda s: rollout_state.advance(s, "quicker", now=2, by="other"))
        calls.append(state.stage)
        return rollout_state.abort(state, "harm", now=3, by="me")

    assert rollout_store.change(store, step, insist=True).share == 0.0
    assert calls == ["5%", "20%"]


def test_change_without_a_rollout_says_what_to_do(tmp_path):
    with pytest.raises(RolloutRefused, match="publish a release first"):
        rollout_store.change(open_store(str(tmp_path)), lambda s: s)


def test_reader_follows_the_mirror(tmp_path):
    reader = RolloutReader(tmp_path / "rollout.json", every=0.0)
    assert reader.view(7).share == 0.0
    rollout_mirror.mirror(at_first(), tmp_path)
    assert (reader.view(7).stage, reader.view(7).share) == ("5%", 0.05)
    assert reader.view(8).share == 0.0, "a state about another release is none"
    rollout_mirror.mirror(rollout_state.abort(at_first(), "x", now=2, by="me"), tmp_path)
    assert reader.view(7).share == 0.0


def test_reader_treats_stale_and_broken_files_as_no_share(tmp_path):
    path = tmp_path / "rollout.json"
    rollout_mirror.mirror(at_first(), tmp_path)
    os.utime(path, (1, 1))
    assert RolloutReader(path, max_age=60, every=0.0).view(7).share == 0.0
    os.utime(path, times=(time.time() + 3600,) * 2)  # a clock was ahead: whoever wrote it may have died since
    assert RolloutReader(path, max_age=60, every=0.0).view(7).share == 0.0
    whole = at_first().to_json()
    no_number = whole.replace(b'"share": 0.05,\n "since"', b'"share": NaN,\n "since"')
    for broken in (b"", whole[:40], b"[]", b'{"release": 7}', no_number):
        assert broken != whole
        path.write_bytes(broken)
        assert RolloutReader(path, every=0.0).view(7).share == 0.0, broken


def test_reader_looks_no_more_often_than_told(tmp_path):
    reader = RolloutReader(tmp_path / "rollout.json", every=3600.0)
    assert reader.view(7).share == 0.0
    rollout_mirror.mirror(at_first(), tmp_path)
    assert reader.view(7).share == 0.0
