"""An app with a store, a log and a selector in one process, whose catalogue.json changes; the clock is ours."""

import numpy as np

from croupier.features import clock
from croupier.features.encoding import catalogue
from croupier.features.encoding.encoder import Encoder
from croupier.features.log.ship import ship
from croupier.features.log.spool_rows import decision
from croupier.features.schema import Arm
from croupier.features.workspace import Workspace
from croupier.models.baselines import Uniform
from croupier.serving.contract.requests import Request
from croupier.serving.decide.candidate_breaker import CandidateBreaker
from croupier.serving.decide.meter import Meter
from croupier.serving.decide.replay import loader, replay
from croupier.serving.decide.selector import Selector
from croupier.serving.operate import catalogue_release, deployment, publish, watch
from croupier.serving.release import bundle, bundle_store
from croupier.serving.release.rollout_mirror import RolloutReader

ARMS = [Arm(arm_id=f"a{i}", features={"price": float(i)}) for i in range(4)]
NEW = Arm(arm_id="n0", features={"price": 9.0})
START = 1_790_000_000_000_000  # UTC µs
MINUTE = 60_000_000
TOML = """
[context.age]
type = "numeric"
[arm.price]
type = "numeric"
[reward]
window_seconds = 5.0
kinds.click = {}
[policies]
floor = 0.04
[rollout]
min_decisions = 200
season = "none"
[arms]
new_floor = 0.1
new_until = 150
"""


class Shop:
    def __init__(self, var, monkeypatch, *, champion=None, candidate=None, now=START):
        monkeypatch.setenv("CROUPIER_VAR", str(var))
        monkeypatch.setenv("CROUPIER_APP", "shop")
        self.now, self.asked, self.meter = now, 0, Meter()
        home = var / "shop"
        home.mkdir(parents=True)
        (home / "app.toml").write_text(TOML)
        catalogue.write(home / "catalogue.json", ARMS)
        self.w = Workspace.open("shop")
        self.spool = self.w.spool()
        self.publish(champion or Uniform(), candidate)

    def publish(self, champion, candidate=None):
        def build(folder, number):
            bundle.write_release(
                folder,
                number=number,
                champion=champion,
                candidate=candidate,
                arms=ARMS,
                meta={},
                floor=0.04,
                encoder=Encoder.empty(self.w.spec, ARMS),
                salt=f"salt-{number}",
                golden=[{"context": {"age": 1.0}, "arms": ["a0", "a1", "a2"]}],
            )

        with clock.at(self.now):
            publish.publish(self.w.store, self.w.home, build, triton=None)
        self.follow()

    def write(self, arms):
        catalogue.write(self.w.home / "catalogue.json", arms)

    def look(self):
        """What the watch says of the catalogue, a minute later."""
        self.now += MINUTE
        ship(self.spool, self.w.store, host="h")
        said = catalogue_release.look(self.w, self.now)
        self.follow()
        return said

    def tick(self):
        self.now += MINUTE
        ship(self.spool, self.w.store, host="h")
        state = watch.tick(self.w.store, self.w.home, self.w.spec, self.now)
        self.follow()
        return state

    @property
    def number(self):
        return bundle_store.current(self.w.store)

    def loaded(self, number=None):
        return bundle.load(self.w.home / "triton" / "select_arm" / str(number or self.number))

    def follow(self):
        deployment.follow(self.w.store, self.w.home, triton=None)
        self.selector = Selector(
            self.loaded(),
            recorder=self.spool,
            unit_key=self.w.unit_key,
            meter=self.meter,
            breaker=CandidateBreaker(None, patience_ms=60_000),  # a busy machine is no slow candidate
            rollout=RolloutReader(self.w.home / "rollout.json", every=0.0),
            clock=lambda: self.now,
        )

    def ask(self, n, arms, *, units=None, seed=0):
        """n requests that list these arms, each of another unit unless `units` bounds them."""
        rng = np.random.default_rng(seed)
        requests = []
        for _ in range(n):
            self.asked += 1
            unit = self.asked if units is None else int(rng.integers(units))
            requests.append(
                Request(unit_id=f"u{unit}", context={"age": 30.0}, arms=tuple(arms), event_id=f"e{self.asked}")
            )
        self.now += 1_000_000
        return self.selector.select(requests)

    def dropped(self):
        """Arms dropped so far, by reason, as the metric counts them."""
        counts, _ = self.meter.drain()
        return {labels[0][1]: n for (name, labels), n in counts.items() if name == "croupier_dropped_arms_total"}

    def decisions(self):
        return [decision(body) for _, body in self.spool.read("decisions", 0, 10**6)]

    def replayed(self, decision):
        """The steps that do not hold."""
        load = loader(self.w.home, lambda n, to: bundle_store.download(self.w.store, n, to))
        return [f for f in replay(decision, load=load, spool=self.spool, spec=self.w.spec.reward) if not f.holds]
