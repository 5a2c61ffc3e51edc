"""The posterior as `select_arm` sees it: each batch is decided with the newest head that the reward model wrote, and
with what the other hosts of a fleet have learnt (serving/fleet), where there are any.

The learners' library (scipy.linalg) is loaded with a policy that learns, not with this file: most
releases serve without, and each publish starts three processes beside those that serve.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeGuard, cast

from croupier.features.schema import CANDIDATE, CHAMPION
from croupier.features.store import layout
from croupier.models.policy import Policy
from croupier.serving.release.bundle import LoadedRelease

if TYPE_CHECKING:
    from croupier.models.bayesian.base import Bayesian
    from croupier.serving.learning.head_file import HeadFile, State

LOOK_SECONDS = 0.005


def learns(policy: Policy | None) -> "TypeGuard[Bayesian]":
    """True if the policy has one trained head that all arms share."""
    if not hasattr(policy, "with_head"):
        return False
    bayesian = cast("Bayesian", policy)
    return bayesian.sizes is not None and bayesian.parameters["heads"] == "shared"


class LiveHeads:
    """A reader: the release's policies with the newest heads, for every instance. Cheap to ask for each batch."""

    def __init__(
        self, folder: Path | None, release: LoadedRelease, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._folder, self._release, self._clock = folder, release, clock
        self._looked = {CHAMPION: -float("inf"), CANDIDATE: -float("inf")}
        self._files: dict[Path, tuple[HeadFile, int]] = {}
        self._states: dict[Path, State] = {}
        self._policies: dict[str, Policy | None] = {CHAMPION: release.champion, CANDIDATE: release.candidate}
        self._shared = {CHAMPION: "", CANDIDATE: ""}

    def policy(self, role: str) -> Policy:
        """Raises ValueError where the release has none in this role."""
        policy: Policy | None = self._policies[role]
        if policy is None:
            raise ValueError(f"release {self._release.number} has no {role}")
        now = self._clock()
        if self._folder is None or not learns(policy) or now - self._looked[role] < LOOK_SECONDS:
            return policy
        self._looked[role] = now
        newest = cast("Policy", self._newest(self._folder, role, policy))
        self._policies[role] = newest
        return newest

    def step(self, role: str) -> int:
        """The `posterior_step` of decisions made now: 0 for policies without a head."""
        heads = getattr(self._policies[role], "heads", None)
        return 0 if heads is None else int(heads.step)

    def shared(self, role: str) -> str:
        """The `shared_posterior` of decisions made now: empty where no other host has learnt anything."""
        return self._shared[role]

    def _newest(self, folder: Path, role: str, policy: "Bayesian") -> "Bayesian":
        from croupier.models.bayesian.posterior import Posterior
        from croupier.serving.learning.head_file import name_of

        own = layout.head(folder, self._release.number, role)
        others = layout.head(folder, self._release.number, role, others=True)
        d = len(policy.head.moments.b)
        changed = [self._look(path, role, d) for path in (own, others)]
        if not any(changed):
            return policy
        released = cast("Bayesian", self._release.candidate if role == CANDIDATE else self._release.champion).head
        mine, theirs = self._states.get(own), self._states.get(others)
        moments, step = (released.moments, released.step) if mine is None else (mine.moments, mine.step)
        if theirs is not None:
            moments += theirs.moments
            self._shared[role] = name_of(theirs)
        return policy.with_head(Posterior(prior=policy.head.prior, moments=moments, step=step))

    def _look(self, path: Path, role: str, d: int) -> bool:
        """Reads a head's file; True if it holds another state than before."""
        from croupier.serving.learning.head_file import HeadFile

        if path not in self._files:
            if not path.exists():
                return False  # no reward yet for this release
            self._files[path] = (HeadFile(path, d=d, digest=self._release.manifest["digest"]), -1)
        file, seen = self._files[path]
        sequence = file.sequence
        if sequence in (seen, 0):  # nothing new; 0: nothing written yet
            return False
        if (state := file.read()) is None:
            self._looked[role] += 0.1  # the writer died in the middle: its successor will write anew
            return False
        self._files[path], self._states[path] = (file, sequence), state
        return True
