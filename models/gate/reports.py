"""What an evaluation found, as numbers and as plain JSON."""

from collections.abc import Collection
from dataclasses import dataclass, field, fields
from math import isfinite
from typing import Any

from croupier.models.gate.gate import PROMOTE, Verdict
from croupier.models.ope.intervals import Bounds


@dataclass(frozen=True, kw_only=True)
class PolicyReport:
    """One policy's values (reward per decision), their two-sided interval by DR, and, for a candidate, its lift over
    the champion and the verdict. `role` is champion | candidate | logging."""

    role: str
    estimates: dict[str, float]
    bounds: Bounds
    ess: float
    max_weight_share: float
    unsupported: float
    lift: float | None = None
    lift_bounds: Bounds | None = None
    verdict: Verdict | None = None
    intervals: dict[str, dict[str, float]] = field(default_factory=dict)
    weights: list[dict[str, float]] = field(default_factory=list)
    details: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON."""
        v = self.verdict
        head: dict[str, Any] = {"role": self.role, **self.estimates}
        head |= {"lower": self.bounds.lower, "upper": self.bounds.upper, "ess": self.ess}
        head |= {"max_weight_share": self.max_weight_share, "support": 1.0 - self.unsupported}
        head |= {"verdict": v.decision if v else self.role, "rows_needed": v.rows_needed if v else None}
        head["conditions"] = v.to_dict()["conditions"] if v else []
        bounds = self.lift_bounds
        head["lift"] = {"value": self.lift, "lower": bounds.lower, "upper": bounds.upper} if bounds else None
        return head | {"intervals": self.intervals, "weights": self.weights, "details": self.details}


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """`policies` holds every judged policy and the log's own; `promoted` the best promoted candidate, or "".

    self_test and leak are p-values of the log's own tests, suspect the feature column a leak would be in (−1: none).
    failed: candidates that gave no pmf, and what they gave; they are judged no further. judged_share: of all decisions,
    those that judge; looks: planned ones, 0 in the always-valid mode. slates: where a round is a slate, the most
    `slots` of one, the `decisions` in all, and those `left_out` since others of theirs are missing; else empty."""

    champion: str
    rows: int
    floor: float
    alpha: float
    self_test: float
    leak: float
    suspect: int
    reward_model: dict[str, float]
    log: dict[str, Any] = field(default_factory=dict)
    policies: dict[str, PolicyReport] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    judged_share: float = 1.0
    looks: int = 0
    slates: dict[str, int] = field(default_factory=dict)

    @property
    def promoted(self) -> str:
        """Among promoted candidates, the one with the highest lower bound."""
        return self.promoted_among(set(self.policies))

    def promoted_among(self, names: Collection[str]) -> str:
        """Returns the promoted candidate among these names; "" where none of them was promoted."""
        good = [n for n, p in self.policies.items() if n in names and p.verdict and p.verdict.decision == PROMOTE]
        return max(good, key=lambda n: self.policies[n].lift_bounds.lower, default="")  # type: ignore[union-attr]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON: infinities become None."""
        body = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "policies"}
        policies = {name: report.to_dict() for name, report in self.policies.items()}
        return dict(_finite({**body, "promoted": self.promoted, "policies": policies}))


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    return value if not isinstance(value, float) or isfinite(value) else None
