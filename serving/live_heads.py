"""The posterior as `select_arm` sees it: each batch is decided with the newest head that the reward model wrote."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import cast

from models.bayesian import Bayesian
from models.policy import Policy
from models.posterior import Posterior
from serving.fast_loop import learns, path_of
from serving.head_file import HeadFile
from serving.release import LoadedRelease

LOOK_SECONDS = 0.005


class LiveHeads:
    """A reader: the release's policies with the newest heads, for every instance. Cheap to ask for each batch."""

    def __init__(
        self, folder: Path | None, release: LoadedRelease, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._folder, self._release, self._clock = folder, release, clock
        self._looked = {"champion": -float("inf"), "candidate": -float("inf")}
        self._files: dict[str, tuple[HeadFile, int]] = {}
        self._policies: dict[str, Policy | None] = {"champion": release.champion, "candidate": release.candidate}

    def policy(self, role: str) -> Policy:
        """Raises ValueError where the release has none in this role."""
        policy: Policy | None = self._policies[role]
        if policy is None:
            raise ValueError(f"release {self._release.number} has no {role}")
        now = self._clock()
        if self._folder is None or not learns(policy) or now - self._looked[role] < LOOK_SECONDS:
            return policy
        self._looked[role] = now
        if isinstance(policy, Bayesian):
            policy = cast("Policy", self._newest(role, policy))
        self._policies[role] = policy
        return policy

    def step(self, role: str) -> int:
        """The `posterior_step` of decisions made now: 0 for policies without a head."""
        policy = self._policies[role]
        return policy.heads.step if isinstance(policy, Bayesian) else 0

    def _newest(self, role: str, policy: Bayesian) -> Bayesian:
        if role not in self._files:
            path = path_of(self._folder or Path(), self._release.number, role)
            if not path.exists():
                return policy  # no reward yet for this release
            d, digest = len(policy.head.moments.b), self._release.manifest["digest"]
            self._files[role] = (HeadFile(path, d=d, digest=digest), -1)
        file, seen = self._files[role]
        sequence = file.sequence
        if sequence in (seen, 0):  # nothing new; 0: nothing written yet
            return policy
        if (state := file.read()) is None:
            self._looked[role] += 0.1  # the writer died in the middle: its successor will write anew
            return policy
        self._files[role] = (file, sequence)
        return policy.with_head(Posterior(prior=policy.head.prior, moments=state.moments, step=state.step))
