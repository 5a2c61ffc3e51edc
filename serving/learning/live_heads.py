"""The posterior as `select_arm` sees it: each batch is decided with the newest head that the reward model wrote.

The learners' libraries (torch: 1.5 s of CPU to import) are loaded with a policy that learns, not with this file: most
releases serve without, and each publish starts three processes beside those that serve.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeGuard, cast

from croupier.models.policy import Policy
from croupier.serving.release.bundle import LoadedRelease

if TYPE_CHECKING:
    from croupier.models.bayesian.base import Bayesian
    from croupier.serving.learning.head_file import HeadFile

LOOK_SECONDS = 0.005


def learns(policy: Policy | None) -> "TypeGuard[Bayesian]":
    """True if the policy has one trained head that all arms share."""
    if not hasattr(policy, "with_head"):
        return False
    bayesian = cast("Bayesian", policy)
    return bayesian.sizes is not None and bayesian.parameters["heads"] == "shared"


def path_of(folder: Path, release: int, role: str) -> Path:
    """The file of one role's head."""
    return folder / f"{release:06d}-{role}.head"


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
        newest = cast("Policy", self._newest(role, policy))
        self._policies[role] = newest
        return newest

    def step(self, role: str) -> int:
        """The `posterior_step` of decisions made now: 0 for policies without a head."""
        heads = getattr(self._policies[role], "heads", None)
        return 0 if heads is None else int(heads.step)

    def _newest(self, role: str, policy: "Bayesian") -> "Bayesian":
        from croupier.models.bayesian.posterior import Posterior
        from croupier.serving.learning.head_file import HeadFile

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
