"""A catalogue release through kill -9 at any moment: the old arms or the new ones, always whole, and the next look ends
what was begun. The rollout stands where it stood."""

import time

import numpy as np
import pytest

from croupier.features import known_arms
from croupier.features.encoding import catalogue
from croupier.features.settings import Settings
from croupier.features.workspace import Workspace
from croupier.models.baselines import FixedArm
from croupier.serving.operate import catalogue_release, deployment, watch
from croupier.serving.release import bundle, bundle_store, rollout_store
from croupier.serving.triton import repository
from tests.faults.killed import killed
from tests.serving.arm_shop import ARMS, NEW, START, Shop


def workspace(var):
    return Workspace(Settings(var=var, app="shop"))


def looking(var):
    """The owner adds an arm and takes it away again, and each time the watch looks."""
    w = workspace(var)
    while True:
        here = {arm.arm_id for arm in w.arms()}
        catalogue.write(w.home / "catalogue.json", ARMS if "n0" in here else [*ARMS, NEW])
        catalogue_release.look(w, START)
        yield


@pytest.mark.medium
@pytest.mark.parametrize("trials", [6, pytest.param(200, marks=pytest.mark.full)])
def test_killed_at_any_moment_the_next_look_makes_it_whole(tmp_path, monkeypatch, trials):
    shop, rng = Shop(tmp_path / "var", monkeypatch, candidate=FixedArm(arm="a1")), np.random.default_rng(1)
    w, stood = workspace(tmp_path / "var"), rollout_store.read_state(shop.w.store)
    began = time.monotonic()
    next(looking(tmp_path / "var"))
    usual = time.monotonic() - began
    newest = bundle_store.current(w.store)
    assert newest == 2
    for _ in range(trials):
        killed(looking, tmp_path / "var", passes=int(rng.integers(2)), later=rng.uniform(0, usual))
        for row in bundle_store.listed(w.store):
            deployment.verify(w.store, w.home, row["number"])
        before, newest = newest, bundle_store.current(w.store)
        assert newest >= before
        watch.tick(w.store, w.home, w.spec, START)  # begins the rollout where the killed one had not
        said = catalogue_release.look(w, START)
        assert not said.startswith("not released"), said
        number, state = bundle_store.current(w.store), rollout_store.read_state(w.store)
        arms = bundle_store.arms(w.store, number)
        assert [a for a in arms if not known_arms.retired(a, START)] == w.arms()
        assert (state.release, state.stage, state.share, state.salt) == (number, stood.stage, stood.share, stood.salt)
        assert (state.since, state.history[0]) == (stood.since, stood.history[0])
        assert state.continues == bundle.load(w.home / "triton" / "select_arm" / str(number)).continues
        assert repository.versions(w.home / "triton", "select_arm")[-1] == number
        assert catalogue_release.look(w, START) == ""
    shop.spool.close()
