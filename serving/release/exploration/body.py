"""What decides in a release, before it is written: what its manifest says of it, and what it answers."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
from typing import Any

from croupier.features.batch import Catalogue
from croupier.features.encoding.encoder import Encoder
from croupier.features.schema import SCHEMA_VERSION, Arm
from croupier.models.policy import Policy
from croupier.serving.release.exploration.mixed import Exploration
from croupier.serving.release.exploration.toward import ENTRY, Toward
from croupier.serving.release.golden import Golden, golden_of
from croupier.serving.release.newcomer_share import Newcomers
from croupier.serving.release.safeguards import Safeguards
from croupier.serving.retrieval.retriever import Decides


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
    baseline: Policy | None = None

    def __post_init__(self) -> None:
        beside = self.safeguards.beside
        if bool(beside and beside.release) != (self.baseline is not None):
            found = "none" if self.baseline is None else self.baseline.name
            raise ValueError(f"baseline: found {found}, expected the policy of safety.baseline where that is a release")

    @cached_property
    def known(self) -> Catalogue:
        """The arms as the encoder sees them."""
        return self.encoder.catalogue(self.arms)

    @property
    def decides(self) -> Decides:
        """What lists of arms are made by."""
        return Decides(self.roles, self.encoder, self.known)

    def names(self) -> dict[str, Any]:
        """Entries of the manifest."""
        more = {"newcomers": asdict(self.newcomers)} if self.newcomers.since else {}
        more |= {} if self.toward is None else {ENTRY: self.toward.entry()}
        return more | self.safeguards.entry() | {
            "schema": SCHEMA_VERSION, "floor": self.floor,
            "policies": {role: policy.name for role, policy in self.roles.items()},
            "encoder": self.encoder.digest, "catalogue": self.known.digest,
        }  # fmt: skip

    def golden(self, role: str, requests: Sequence[Mapping[str, Any]]) -> list[Golden]:
        """These requests, with the pmf that the policy in `role` gives each."""
        beside = self.safeguards.beside
        beside = beside and replace(beside, kept=self.baseline)
        known, limits = self.known, self.safeguards.limits(self.arms)
        explored = Exploration.of(self.floor, self.newcomers, known, limits, self.toward, beside=beside)
        return golden_of(role, requests, self.encoder, known, partial(explored.pmf, self.roles[role]))
