"""The candidate that a release explores toward: an undecided one, kept in the release beside its champion.

    toward/     its policy; the manifest has an entry of the same name: which policy, what it learnt, and its share of ε

The champion serves everybody. Of its ε the share goes where this candidate would draw otherwise, so that the log which
is judged next tells the two apart in fewer rows (models/GATE.md has by how much, and what it costs). Every arm keeps
(1 − share)·ε/K, and propensities stay exact: what is drawn from is what is logged.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from croupier.models import policy as policies
from croupier.models.policy import Policy

ENTRY = "toward"  # of a manifest; the folder beside it, and how reasons begin that say why it was left out


@dataclass(frozen=True, kw_only=True)
class Toward:
    """`share` of ε, at least 0 and below 1; `features`: the key of those that the policy learnt; `until`: the end of
    the window they came from (UTC µs), 0 for an interval by hand."""

    policy: Policy
    share: float
    features: str = ""
    until: int = 0

    def entry(self) -> dict[str, Any]:
        """The manifest's entry."""
        return {"policy": self.policy.name, "share": self.share, "features": self.features, "until": self.until}

    def save(self, release: Path) -> None:
        """Writes the policy into the folder of a release."""
        folder = release / ENTRY
        folder.mkdir()
        self.policy.save(folder)

    @classmethod
    def load(cls, release: Path, manifest: Mapping[str, Any]) -> Self | None:
        """What a verified release explores toward; None where it explores uniformly."""
        found = manifest.get(ENTRY)
        if found is None:
            return None
        known = {name: value for name, value in found.items() if name != "policy"}
        return cls(policy=policies.load(release / ENTRY), **known)
