"""A whole app under attack: real Triton, stubs, supervisor, shipping, pruning, joining, a controller and rollouts; its
processes are killed and stopped, its disk fills, its store goes away, its clock jumps. Afterwards the history of what
clients were told and of what is kept is judged (nemesis/checker.py).

`CROUPIER_NEMESIS_SECONDS=600 pytest -m full -s tests/faults/test_nemesis.py` attacks for ten minutes; -s shows the account.
"""

import json
import os
import random
import time
from collections import Counter

import pytest

from croupier.features.log.ship import ship
from croupier.features.workspace import Workspace
from croupier.serving.operate import supervisor
from croupier.serving.release import rollout_store
from tests.faults.nemesis import gathered
from tests.faults.nemesis.checker import check, model_share
from tests.faults.nemesis.faults import Clock, FullDisk, deck
from tests.faults.nemesis.system import System
from tests.moto_server import moto_server

LEAST_MODEL_SHARE = 0.6
FULL_SECONDS = float(os.environ.get("CROUPIER_NEMESIS_SECONDS", "1800"))


def attack(system, faults, seconds, rng):
    """Faults in a random order, each once before one comes again, with a pause after each; what was done, by name."""
    done, waiting, end = Counter(), [], time.monotonic() + seconds
    while time.monotonic() < end:
        waiting = waiting or rng.sample(faults, len(faults))
        fault = waiting.pop()
        try:
            done[fault.__name__] += fault(system, rng)
        except (KeyError, IndexError):  # a task that has not been started yet
            continue
        time.sleep(rng.uniform(2.0, 6.0))
    return done


def recover(system):
    """The server decides again by itself; how long that took."""
    began = time.monotonic()
    while not supervisor.healthy(system.url):
        assert time.monotonic() - began < 150, "the app has not come back"
        time.sleep(0.5)
    return time.monotonic() - began


def told(name, value):
    print(f"  {name}: {value}", flush=True)


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.parametrize(
    ("seconds", "rate"),
    [
        pytest.param(30, 40, marks=pytest.mark.timeout(500)),
        pytest.param(120, 40, marks=[pytest.mark.full, pytest.mark.timeout(900)]),
        pytest.param(FULL_SECONDS, 30, marks=[pytest.mark.full, pytest.mark.timeout(FULL_SECONDS + 1200)]),
    ],
)
def test_what_was_answered_is_what_is_kept(tmp_path, monkeypatch, seconds, rate):
    seed = int(os.environ.get("CROUPIER_NEMESIS_SEED", "1"))
    (home := tmp_path / "var" / "shop" / "spool").mkdir(parents=True)
    disk, clock = FullDisk(home), Clock(tmp_path)
    faults, skipped = deck(clock, disk)
    try:
        with moto_server() as (_, moto):
            system = System(tmp_path, moto, clock.environment)
            try:
                system.start(clients=2, rate=rate, seed=seed)
                time.sleep(5)
                done = attack(system, faults, seconds, random.Random(seed))
                back = recover(system)
                system.end_clients()
                system.end_workers()
                for name in ("CROUPIER_VAR", "CROUPIER_APP", "CROUPIER_STORE", "CROUPIER_S3_ENDPOINT", "CROUPIER_HOST"):
                    monkeypatch.setenv(name, system.environment[name])
                w = Workspace.known("shop")
                spool = w.spool()
                ship(spool, w.store, host="h")
                counts = spool.counts()
                spool.close()
                found = gathered.history(w, system.history)
                state = rollout_store.read_state(w.store)
                owed = gathered.lines(system.history)[1]
            finally:
                system.close()
    finally:
        disk.close()
    violations = check(found)
    print(f"\n{seconds:.0f} s, seed {seed}; left out: {skipped or 'nothing'}")
    told("faults", f"{done.total()}: {dict(sorted(done.items()))}")
    told("started again", system.restarts)
    told("back after", f"{back:.1f} s")
    told("answers", f"{len(found.answers)}, by role {dict(Counter(a.role for a in found.answers))}")
    told("model share", f"{model_share(found.answers):.3f}")
    told("rewards", f"{len(found.posts)}, {dict(Counter(p.status for p in found.posts))}")
    told("log", f"{len(found.log)} decisions, {len(found.paid)} rewards, {counts}")
    told("account", json.dumps(found.account))
    told("releases", f"{len(found.salts)}; journal {dict(Counter(p.stage for p in found.phases))}; now {state.stage}")
    told("violations", f"{len(violations)} {dict(Counter(v.kind for v in violations))} {violations[:10]}")
    assert owed == [{"delivered": True, "refusals": [], "dropped": 0}] * 2
    assert violations == []
    assert counts["decisions"] == len(found.log)
    assert model_share(found.answers) >= LEAST_MODEL_SHARE
    assert done.total() >= seconds / 15
