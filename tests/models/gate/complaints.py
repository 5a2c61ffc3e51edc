"""A shop whose best arm brings complaints, and its log, for what the gate says beside the lift."""

from datetime import UTC, datetime, timedelta

import numpy as np

from croupier.features import build, scheduled
from croupier.features.encoding import catalogue
from croupier.features.schema import Arm, Decision, Reward
from croupier.features.utc import SECOND, to_us
from croupier.features.workspace import Workspace
from croupier.models import training

N, ARMS = 6000, ("a", "b", "c")
CLICKS = np.array([0.1, 0.2, 0.4])
HARMFUL, HARMLESS, NONE = np.array([0.01, 0.01, 0.2]), np.full(3, 0.05), np.zeros(3)
APP = """
[reward]
window_seconds = 60.0
[reward.kinds.click]
[policies]
candidates = ["fixed_arm"]
floor = 0.0
[policies.parameters.fixed_arm]
arm = "c"
[context.age]
type = "numeric"
"""
GUARD = '[rollout]\nguardrails = {complaint = "higher"}\n'


class Shop:
    """A shop whose arm c earns most, with `complaints` by arm; its decisions lie in one hour, some hours back."""

    def __init__(self, complaints, toml="", *, amount=1.0, name="shop", clicks=CLICKS, late=NONE):
        """`late`: the share of each arm's clicks that come after the window."""
        self.name, self.w = name, Workspace.open(name)
        self.w.home.mkdir(parents=True)
        (self.w.home / "app.toml").write_text(APP + toml)
        catalogue.write(self.w.home / "catalogue.json", [Arm(arm_id=a, features={}) for a in ARMS])
        rng = np.random.default_rng(4)
        self.start = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=4)
        self.arm, third = rng.integers(3, size=N), 1 / 3
        at = to_us(self.start) + np.arange(N) * 590_000  # one hour
        self.decisions = [
            Decision(
                event_id=f"e{i}",
                at=int(at[i]),
                unit_id=f"{i:016x}" * 2,
                context={"age": float(rng.integers(18, 80))},
                arms=ARMS,
                arm=ARMS[k],
                propensity=third,
                pmf=(third,) * 3,
                policy="uniform",
                role="champion",
                release=0,
            )
            for i, k in enumerate(self.arm)
        ]
        self.complained = rng.random(N) < complaints[self.arm]
        clicked = rng.random(N) < clicks[self.arm]
        self.late = clicked & (rng.random(N) < late[self.arm])
        made = [("click", 1.0, i) for i in np.flatnonzero(clicked)] + [
            ("complaint", amount, i) for i in np.flatnonzero(self.complained)
        ]
        later = np.where(self.late, 90 * SECOND, 1000)  # the window is a minute
        rewards = [
            Reward(event_id=f"e{i}", at=int(at[i] + later[i] if kind == "click" else at[i] + 1000), kind=kind, value=v)
            for kind, v, i in made
        ]
        self.log(self.decisions, rewards)

    def log(self, decisions, rewards=()):
        spool = self.w.spool()
        spool.append_decisions(decisions)
        spool.append_rewards(rewards)
        spool.close()

    def features(self):
        """What build_features does."""
        build.collect(self.name)
        validated = scheduled.validate(self.name, None, scheduled.join(self.name, None))
        return scheduled.encode(self.name, None)["features"], validated

    def verdict(self, key):
        """What train_and_gate does up to the verdict, and its conditions."""
        jobs = [training.train(**job) for job in training.plan([(self.name, key)])]
        (found,) = training.judge(jobs)
        return found, {c["name"]: c for c in found["evaluation"]["policies"]["fixed_arm"]["conditions"]}
