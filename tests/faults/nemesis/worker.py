"""One task of the loop, over and over, as its DAG calls it: `python -m tests.faults.nemesis.worker TASK`.

ship | prune | join | watch | publish, or, once, `up PORT`. Which app stands in CROUPIER_*. What fails is said and tried
again, as Airflow does; what is killed is started again by the nemesis.
"""

import sys
import time
import traceback
from datetime import timedelta

from croupier.features import build, clock, upkeep
from croupier.features.encoding.encoder import Encoder
from croupier.features.interactions.join import join_interval
from croupier.features.log.ship import prune
from croupier.features.settings import Settings
from croupier.features.utc import SECOND
from croupier.features.workspace import Workspace
from croupier.models.baselines import FixedArm, Uniform
from croupier.serving.operate import deployment, publish, supervisor, watch
from croupier.serving.release import bundle, rollout_store

APP = "shop"
KEPT_SECONDS = 90  # in the spool; clients repeat a question at once, and clocks jump back by less
EVERY = {"ship": 3.0, "prune": 15.0, "join": 20.0, "watch": 8.0, "publish": 5.0}
WATCHED_SECONDS = 30  # of a promoted release, before the next one is published


def ship_once() -> None:
    build.collect(APP)


def prune_once() -> None:
    w = Workspace.known(APP)
    spool = w.spool()
    try:
        prune(spool, w.store, before=clock.now_us() - KEPT_SECONDS * SECOND)
    finally:
        spool.close()


def join_once() -> None:
    w, now = Workspace.known(APP), clock.now()
    join_interval(w.store, w.spec.reward, start=now - timedelta(hours=2), end=now + timedelta(hours=2), now=now)
    upkeep.restate(APP)


def watch_once() -> None:
    watch.watch(APP)


def publish_once() -> None:
    """A rollout always runs: the next candidate is a better one, then a worse one, in turn."""
    w = Workspace.known(APP)
    state = rollout_store.read_state(w.store)
    watched = state is not None and state.watched and clock.now_us() - state.since > WATCHED_SECONDS * SECOND
    if state is None or not state.running or watched:
        publish.publish(w.store, w.home, release(w), triton=deployment.triton_address(w))


def release(w: Workspace) -> publish.Build:
    """Writes a release of a uniform champion and a candidate that is better (even numbers) or worse."""

    def build_it(folder, number):
        bundle.write_release(
            folder,
            number=number,
            champion=Uniform(),
            candidate=FixedArm(arm="a2" if number % 2 else "a0"),
            arms=w.arms(),
            meta={},
            encoder=Encoder.empty(w.spec, w.arms()),
            floor=0.04,
            golden=[{"context": {"age": 1.0}, "arms": ["a0", "a1"]}],
        )

    return build_it


def main(task: str, port: str = "") -> None:
    if task == "up":
        supervisor.up(Settings().home, grpc_port=int(port))
        return
    once = globals()[f"{task}_once"]
    while True:
        began = time.monotonic()
        try:
            once()
            print(f"{task}: {time.monotonic() - began:.2f} s", flush=True)
        except Exception:
            traceback.print_exc()
        time.sleep(EVERY[task])


if __name__ == "__main__":
    main(*sys.argv[1:])
