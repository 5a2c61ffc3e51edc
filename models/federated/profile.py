"""What sums of several sites must have in common before they may be added: one release's φ, and one meaning of rewards.

Sums over other columns, another network or another scale of rewards have the same shape and mean something else, so
each part is told by its digest, and what differs is named.
"""

import hashlib
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, cast

from croupier.models.bayesian.posterior import Posterior
from croupier.models.policy import Policy

if TYPE_CHECKING:
    from croupier.models.bayesian.base import Bayesian


@dataclass(frozen=True, kw_only=True)
class SiteProfile:
    """`release` is the digest of the release's manifest, `encoder` that of its encoder, `policy` the family, and `phi`
    the digest of all that φ and the scale of rewards depend on. `features` and `reward` are digests of what app.toml
    declares of them at the site."""

    release: str
    encoder: str
    policy: str
    phi: str
    features: str
    reward: str

    @classmethod
    def of(cls, policy: "Bayesian", *, release: str, encoder: str, features: str, reward: str) -> Self:
        """The profile of a release's policy, as `additive` returns it."""
        name, phi = policy.name, _phi(policy)
        return cls(release=release, encoder=encoder, policy=name, phi=phi, features=features, reward=reward)

    @classmethod
    def from_json(cls, found: Any) -> Self:
        """The inverse of `to_json`. Raises ValueError where a part is missing or no text."""
        names = cls.__dataclass_fields__
        if (
            not isinstance(found, dict)
            or set(found) != set(names)
            or not all(isinstance(v, str) for v in found.values())
        ):
            raise ValueError(f"profile: found {found!r:.200}, expected texts named {', '.join(sorted(names))}")
        return cls(**found)

    def to_json(self) -> dict[str, str]:
        """Returns it as plain JSON."""
        return asdict(self)

    def differences(self, other: "SiteProfile") -> list[str]:
        """Says of each part that differs what the other has, and what this one has."""
        mine, theirs = self.to_json(), other.to_json()
        return [f"{name} {theirs[name]} where {mine[name]} is expected" for name in mine if mine[name] != theirs[name]]


def additive(policy: Policy | None) -> "Bayesian":
    """Returns the policy, which has one trained head that all arms share and that forgets nothing. Raises ValueError
    for another one."""
    found = cast("Bayesian", policy)
    if (
        policy is None
        or not hasattr(policy, "with_head")
        or found.sizes is None
        or found.parameters["heads"] != "shared"
    ):
        said = "none" if policy is None else policy.name
        raise ValueError(
            f"policy: found {said}, expected a trained one with a head that all arms share (lin_ts, lin_ucb or "
            'neural_linear with heads = "shared"): sums of sites are added to that'
        )
    if found.parameters["half_life"] or found.parameters["window"]:
        given = {name: found.parameters[name] for name in ("half_life", "window")}
        raise ValueError(
            f"policy {policy.name}: found {given}, expected 0 of both: rows of several sites have no common order by "
            "which the older ones could be forgotten"
        )
    return found


def untrained(policy: "Bayesian") -> "Bayesian":
    """The policy with the same φ and scale of rewards, whose head has seen no row."""
    head = policy.head
    return policy.with_head(Posterior.empty(len(head.moments.b), head.prior))


def _phi(policy: "Bayesian") -> str:
    """32 hex digits over the files of the policy without what its head has learnt."""
    found = hashlib.sha256()
    with tempfile.TemporaryDirectory() as scratch:
        untrained(policy).save(Path(scratch))
        for path in sorted(Path(scratch).iterdir()):
            found.update(path.name.encode() + b"\n" + path.read_bytes())
    return found.hexdigest()[:32]
