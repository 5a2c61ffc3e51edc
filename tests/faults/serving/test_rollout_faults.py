"""kill -9 and races around the rollout's state: whole, one winner, and never more exposed than the journal says."""

import threading

import numpy as np
import pytest

from croupier.features.store.storage import open_store
from croupier.serving.release import rollout_state, rollout_store
from croupier.serving.release.rollout_mirror import RolloutReader
from croupier.serving.release.rollout_state import RolloutRefused, RolloutState
from tests.faults.killed import killed


def climbing(store, home, first):
    """Up, up, down, next release, for ever: every kind of write."""
    for release in range(first, first + 10_000):
        rollout_store.begin(store, rollout_state.start(release, now=release))
        rollout_store.sync(store, home)
        for step in range(3):
            rollout_store.change(
                store, lambda s: rollout_state.advance(s, "up", now=s.since + 1, by="child"), home=home
            )
            if step == release % 3:
                rollout_store.change(
                    store, lambda s: rollout_state.abort(s, "down", now=s.since + 1, by="child"), home=home
                )
                break
            yield
        yield


ORDER = ["5%", "20%", "50%", "100%"]


def check(state):
    """A history that the rules allow, ending in what the state says."""
    stages = [entry["stage"] for entry in state.history]
    climbed = stages[:-1] if stages[-1] == "aborted" else stages
    assert climbed == ORDER[: len(climbed)]
    assert (state.stage, state.share) == (state.history[-1]["stage"], state.history[-1]["share"])


@pytest.mark.parametrize("trials", [40, pytest.param(600, marks=pytest.mark.full)])
def test_killed_at_any_moment_state_and_mirror_are_whole_and_the_mirror_never_exposes_more(tmp_path, trials):
    store, home, rng = open_store(str(tmp_path / "store")), tmp_path / "home", np.random.default_rng(0)
    first = 1
    for _ in range(trials):
        killed(climbing, store, home, first, passes=int(rng.integers(6)), later=rng.uniform(0, 0.01))
        state = rollout_store.read_state(store)
        if state is None:
            continue
        check(state)
        if (home / "rollout.json").exists():
            mirrored = RolloutState.from_json((home / "rollout.json").read_bytes())
            assert mirrored.release < state.release or mirrored.share <= state.share
        assert RolloutReader(home / "rollout.json", every=0).view(state.release).share <= state.share
        assert rollout_store.sync(store, home) == state
        assert RolloutReader(home / "rollout.json", every=0).view(state.release).share == state.share
        first = state.release + 1
    assert first > trials / 2, "most children came as far as a release"


@pytest.mark.parametrize("races", [100, pytest.param(1000, marks=pytest.mark.full)])
def test_of_two_controllers_that_race_one_wins_and_nothing_is_skipped(tmp_path, races):
    """Two hosts (two mirrors), one store: they judge the same state at the same moment."""
    store = open_store(str(tmp_path / "store"))
    for race in range(1, races + 1):
        start = rollout_store.begin(store, rollout_state.start(race, now=race))
        gate, won, lost = threading.Barrier(2), [], []

        def controller(name, gate=gate, won=won, lost=lost, start=start):
            home = tmp_path / name

            def step(there):
                gate.wait(timeout=10)
                assert there == start
                return rollout_state.advance(there, "evidence", now=there.since + 1, by=name, evidence={"lower": 0.1})

            try:
                won.append(rollout_store.change(store, step, home=home).history[-1]["by"])
            except RolloutRefused:
                lost.append(name)
                rollout_store.sync(store, home)

        both = [threading.Thread(target=controller, args=(name,)) for name in ("a", "b")]
        [t.start() for t in both]
        [t.join() for t in both]
        state = rollout_store.read_state(store)
        assert len(won) == len(lost) == 1
        assert [e["stage"] for e in state.history] == ["5%", "20%"]
        assert state.history[-1]["by"] == won[0]
        assert state.history[-1]["evidence"] == {"lower": 0.1}, "no step without evidence"
        shares = [RolloutReader(tmp_path / name / "rollout.json", every=0).view(race).share for name in ("a", "b")]
        assert shares == [0.2, 0.2]


def test_an_abort_that_dies_before_its_swap_has_already_lowered_the_share_here(tmp_path):
    store, home = open_store(str(tmp_path / "store")), tmp_path / "home"
    rollout_store.begin(store, rollout_state.start(1, now=1))
    rollout_store.sync(store, home)

    class Dead(Exception):
        pass

    def die(*_):
        raise Dead

    whole = store.swap
    store.swap = die
    with pytest.raises(Dead):
        rollout_store.change(store, lambda s: rollout_state.abort(s, "harm", now=2, by="x"), home=home)
    assert RolloutReader(home / "rollout.json", every=0).view(1).share == 0.0
    with pytest.raises(Dead):
        rollout_store.change(store, lambda s: rollout_state.advance(s, "good", now=2, by="x"), home=home)
    assert RolloutReader(home / "rollout.json", every=0).view(1).share == 0.05, "a rise waits for the swap"
    store.swap = whole
    assert rollout_store.sync(store, home).share == 0.05
