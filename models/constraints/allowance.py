"""How far decisions may depart from the baseline now: a share, and how much of it each host may use.

A decision with share s may cost (s − α)⁺ of the highest reward (running_value.py). What all may cost, the budget, only
grows, and what a host is granted of it only grows, too; so a host that goes by an older allowance, or by none, never
breaks the promise, however late it is, and no controller has to come in time. Where its grant is used up a host decides
with share α, which is free.

    share   α + what is certified for decisions that are not counted yet, spread over those: the ones that were made,
            and as many as the busiest recent hour had, until the next look
    grants  what is certified and not yet granted, by how many decisions each host made lately
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from croupier.models.constraints.running_value import RunningValue

MOST = 0.9  # of the policy in a decision: a tenth is the baseline's for good, by which it is measured


@dataclass(frozen=True, kw_only=True)
class Allowance:
    """`promise`: when it began, and what it promises, by which hosts keep their accounts; `share` of the policy in each
    decision; `grants`: by the id of a host's log, what it may use in all since the promise began, in highest rewards.

    Raises ValueError for a share outside [0, 1) and for a grant that is negative or no number."""

    promise: str
    share: float
    grants: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not _is_number(self.share) or not 0 <= self.share < 1:
            raise ValueError(f"share: found {self.share!r}, expected a share of at least 0 and below 1")
        for host, granted in self.grants.items():
            if not _is_number(granted) or not 0 <= granted < float("inf"):
                raise ValueError(f"grant of {host}: found {granted!r}, expected a finite number of at least 0")

    @classmethod
    def of_body(cls, body: Any) -> Self:
        """Reads an object with these three. Raises ValueError for anything else."""
        if not isinstance(body, dict) or sorted(body) != ["grants", "promise", "share"]:
            raise ValueError(f"allowance: found {body!r}, expected an object with promise, share and grants")
        if not isinstance(body["promise"], str) or not isinstance(body["grants"], dict):
            raise ValueError(f"allowance: found {body!r}, expected a text as promise, and amounts by host as grants")
        return cls(**body)

    def of(self, name: str) -> bool:
        """True if it is of a promise of this name: allowances of an earlier declaration are not this one's."""
        return self.promise.endswith(f"-{name}")

    def to_body(self) -> dict[str, Any]:
        """What `of_body` reads."""
        return {"promise": self.promise, "share": self.share, "grants": dict(self.grants)}

    def after(self, value: RunningValue, budget: float, *, pending: float, hourly: Mapping[str, float]) -> Self:
        """The next allowance. `budget`: the highest that was certified so far, in highest rewards; `pending`: decisions
        that were made and are not counted yet; `hourly`: by host, those of its busiest recent hour."""
        free = max(budget - sum(self.grants.values()), 0.0)
        total = sum(hourly.values())
        added = {host: free * n / total for host, n in hourly.items()} if total else {}
        grants = {host: self.grants.get(host, 0.0) + added.get(host, 0.0) for host in {*self.grants, *added}}
        certified = max(budget - value.used, 0.0)
        share = min(value.alpha + certified / max(pending + total, 1.0), max(MOST, value.alpha))
        return replace(self, share=share, grants=grants)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
