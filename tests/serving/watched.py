"""One host in one process, for the tests of the watch: real selections by hash, a real spool, shipped, joined, judged;
only the clock is ours."""

from dataclasses import replace

import numpy as np

from croupier.features.encoding.encoder import Encoder
from croupier.features.log.ship import ship
from croupier.features.log.spool import Spool
from croupier.features.schema import Arm, Reward
from croupier.features.spec import AppSpec
from croupier.features.store import layout
from croupier.features.store.storage import open_store
from croupier.models.baselines import Uniform
from croupier.serving.contract.requests import Request
from croupier.serving.decide.candidate_breaker import CandidateBreaker
from croupier.serving.decide.selector import Selector
from croupier.serving.operate import publish, watch
from croupier.serving.release import bundle, rollout_mirror, rollout_state
from croupier.serving.release.rollout_mirror import RolloutReader

ARMS = [Arm(arm_id=f"a{i}", features={"price": float(i)}) for i in range(4)]
RATE = {"a0": 0.05, "a1": 0.25, "a2": 0.40, "a3": 0.10}  # uniform: 0.20
START = 1_790_000_000_000_000  # UTC µs
SECOND = 1_000_000


def app_spec(**kwargs):
    return AppSpec.model_validate(
        {
            "reward": {"window_seconds": 5.0, "kinds": {"click": {}}},
            "context": {"age": {"type": "numeric"}},
            "arm": {"price": {"type": "numeric"}},
            "policies": {"floor": 0.04},
            "rollout": {"min_decisions": 1000, "season": "none"} | kwargs,
        }
    )


class House:
    """One host in one process: a release in service, its users, and the watch. It waits for a candidate for as long as
    `patience_ms`: a minute, so that no test depends on the machine's load, but where slowness is what is tested."""

    def __init__(self, path, candidate, seed=0, guards=None, patience_ms=60_000.0, **kwargs):
        self.spec, self.home, self.store = app_spec(**kwargs), path / "home", open_store(str(path / "store"))
        self.spool, self.now, self.rng = Spool(path / "log.db"), START, np.random.default_rng(seed)
        self.guards, self.patience_ms = guards or {}, patience_ms
        self.release(candidate)

    def release(self, candidate, champion=None, meta=None):
        def build(folder, number):
            bundle.write_release(
                folder,
                number=number,
                champion=champion or Uniform(),
                candidate=candidate,
                arms=ARMS,
                meta=meta or {},
                encoder=Encoder.empty(self.spec, ARMS),
                floor=0.04,
                salt=f"release-{number}",  # the same draws in every run
            )

        published = publish.publish(self.store, self.home, build, triton=None, stages=self.spec.rollout.stages)
        state = rollout_state.start(
            published.number,
            now=self.now,
            stages=self.spec.rollout.stages,
            shadow=self.spec.rollout.shadow,
            has_candidate=candidate is not None,
        )
        self.store.put(layout.ROLLOUT, state.to_json())  # the clock is ours
        rollout_mirror.mirror(state, self.home)
        self.serve_with(published.number)

    def serve_with(self, number, **swapped):
        loaded = bundle.load(self.home / "triton" / "select_arm" / str(number))
        self.selector = Selector(
            replace(loaded, **swapped),
            recorder=self.spool,
            unit_key="key",
            rollout=RolloutReader(self.home / "rollout.json", every=0.0),
            breaker=CandidateBreaker(self.home / "breaker.json", patience_ms=self.patience_ms),
            clock=lambda: self.now,
        )

    def visits(self, n, units=100_000):
        """n users ask within ten seconds, and click as RATE has it."""
        answers = []
        for _ in range(10):
            requests = [
                Request(
                    unit_id=f"u{u}", context={"age": 30.0}, arms=("a0", "a1", "a2", "a3"), event_id=f"{self.now}-{i}"
                )
                for i, u in enumerate(self.rng.integers(units, size=n // 10))
            ]
            part = self.selector.select(requests)
            assert not any(a.error for a in part)
            self.spool.append_rewards(
                [
                    Reward(event_id=a.event_id, at=self.now + SECOND, kind=kind, value=1.0)
                    for a in part
                    for kind, rate in ({"click": RATE[a.arm]} | {k: f(a) for k, f in self.guards.items()}).items()
                    if self.rng.random() < rate
                ]
            )
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
