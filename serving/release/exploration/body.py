"""What decides in a release, before it is written: what its manifest says of it, and what it answers."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from croupier.features.encoding.encoder import Encoder
from croupier.features.schema import SCHEMA_VERSION, Arm
from croupier.models.policy import Policy
from croupier.serving.release.exploration.mixed import Exploration
from croupier.serving.release.exploration.toward import ENTRY, Toward
from croupier.serving.release.newcomer_share import Newcomers
from croupier.serving.release.safeguards import Safeguards


@dataclass(frozen=True, kw_only=True)
class Golden:
    """One request and the pmf that `role`'s policy, exploration included, gives it."""

    context: dict[str, Any]
    arms: tuple[str, ...]
    arm_context: tuple[dict[str, Any], ...]
    role: str
    pmf: tuple[float, ...]
    arm_features: tuple[dict[str, Any] | None, ...] = ()


@dataclass(frozen=True)
class ReleaseBody:
    """The policies by role, and what is made of their pmfs."""

    encoder: Encoder
    arms: Sequence[Arm]
    floor: float
    roles: Mapping[str, Policy]
    newcomers: Newcomers
    safeguards: Safeguards
    toward: Toward | None

    def names(self) -> dict[str, Any]:
        """Entries of the manifest."""
        more = {"newcomers": asdict(self.newcomers)} if self.newcomers.since else {}
        more |= {} if self.toward is None else {ENTRY: self.toward.entry()}
        return more | self.safeguards.entry() | {
            "schema": SCHEMA_VERSION, "floor": self.floor,
            "policies": {role: policy.name for role, policy in self.roles.items()},
            "encoder": self.encoder.digest, "catalogue": self.encoder.catalogue(self.arms).digest,
        }  # fmt: skip

    def golden(self, role: str, requests: Sequence[Mapping[str, Any]]) -> list[Golden]:
        """These requests, with the pmf that the policy in `role` gives each."""
        if not requests:
            return []
        contexts, arms = [r["context"] for r in requests], [tuple(r["arms"]) for r in requests]
        pairs, given = ([tuple(r.get(name, ())) for r in requests] for name in ("arm_context", "arm_features"))
        known = self.encoder.catalogue(self.arms)
        batch = self.encoder.encode(contexts, arms, pairs, known, given)
        limits = self.safeguards.limits(self.arms)
        explored = Exploration.of(self.floor, self.newcomers, known, limits, self.toward)
        return [
            Golden(context=c, arms=a, arm_context=p, role=role, pmf=tuple(row[: len(a)].tolist()), arm_features=f)
            for c, a, p, f, row in zip(contexts, arms, pairs, given, explored.pmf(self.roles[role], batch), strict=True)
        ]
