"""A whole app under attack: real Triton, stubs, supervisor, shipping, pruning, joining, a controller and rollouts; its
processes are killed and stopped, its disk fills, its store goes away, its clock jumps. Afterwards the history of what
clients were told and of what is kept is judged (nemesis/checker.py).

`CROUPIER_NEMESIS_SECONDS=600 pytest -m full -s tests/faults/test_nemesis.py` attacks for ten minutes; -s shows the account.
"""

import json
import logging
import os
import pickle
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

LEAST_MODEL_SHARE, LEAST_FAULTS = 0.6, 2
FULL_SECONDS = float(os.environ.get("CROUPIER_NEMESIS_SECONDS", "1800"))


def attack(system, faults, seconds, rng):
    """Faults in a random order, each once before one comes again; what was done, by name. After each the app comes back by
    itself, and is left alone for twice as long as that took: how long a start takes is the machine's affair."""
    done, waiting, end = Counter(), [], time.monotonic() + seconds
    with (system.outputs / "attack").open("w", buffering=1) as said:
        while time.monotonic() < end or done.total() < LEAST_FAULTS:
            waiting = waiting or rng.sample(faults, len(faults))
            fault = waiting.pop()
            began = time.monotonic()
            if name := fault.__name__ if fault(system, rng) else "":
                done[name] += 1
            time.sleep(0.5)  # a supervisor that was killed is missed only then
            recover(system)
            away = time.monotonic() - began
            print(f"{time.time():.1f} {fault.__name__} {bool(name)}, decides again after {away:.1f} s", file=said)
            time.sleep(max(rng.uniform(2.0, 6.0), 2 * away))
    return done


def recover(system):
    """The app decides again by itself; how long that took."""
    began = time.monotonic()
    while not (system.supervisors() and supervisor.healthy(system.url)):
        assert time.monotonic() - began < 200, "the app has not come back"
        time.sleep(0.5)
    return time.monotonic() - began


def told(name, value):
    print(f"  {name}: {value}", flush=True)


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.parametrize(
    ("seconds", "rate"),
    [
        pytest.param(20, 40, marks=pytest.mark.timeout(500)),
        pytest.param(120, 40, marks=[pytest.mark.full, pytest.mark.timeout(900)]),
        pytest.param(FULL_SECONDS, 25, marks=[pytest.mark.full, pytest.mark.timeout(FULL_SECONDS + 1200)]),
    ],
)
def test_what_was_answered_is_what_is_kept(tmp_path, monkeypatch, seconds, rate):
    seed = int(os.environ.get("CROUPIER_NEMESIS_SEED", "1"))
    (home := tmp_path / "var" / "shop" / "spool").mkdir(parents=True)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
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
    (tmp_path / "history.pickle").write_bytes(pickle.dumps(found))
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
    assert done.total() >= LEAST_FAULTS  # how many more there is time for is the machine's affair
    if done.total() >= len(faults):
        assert set(done) == {fault.__name__ for fault in faults}
