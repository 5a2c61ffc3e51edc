"""Constraints of app.toml: how often arms and categories may, or must, be chosen."""

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from croupier.features.declared.condition import Condition, all_hold
from croupier.features.declared.segment import RequestSegment
from croupier.features.spec_values import Name, Strict

ALIKE = ("parity", "opportunity")  # kinds that compare groups of requests


class ConstraintSpec(Strict):
    """How often arms may, or must, be chosen. `limit`: in every decision that lists them, exactly, by the nearest pmf
    that keeps it; each of `arms` by itself, or all arms of a category (`arm`) together. `exposure`: in the mean of all
    decisions, these arms together, by a price that `croupier turn` moves. `spend`: what is shown costs, at most
    `budget` a day (UTC), by a price and a stop. `exploration`: in every decision of a segment, each candidate by
    `floor`/K at least. `parity`: these arms together, in the mean of the decisions of each of `groups`, in shares that
    differ by `tolerance` at most, by prices; `opportunity`: the same, of those requests that reward these arms.
    `revenue`: each of `arms` earns `least` in the mean of all decisions, by prices. `when` says of which requests a
    limit, an exposure or an exploration is: a segment of them."""

    name: Name = Field(min_length=1, max_length=80, description="what it is called, in errors and reports")
    kind: Literal["limit", "exposure", "spend", "exploration", "parity", "opportunity", "revenue"] = Field(
        "limit",
        description="limit: of each decision's probabilities; exposure: of all decisions' mean; spend: of a day; "
        "exploration: of each decision of a segment, in the place of a lower policies.floor; parity: of all decisions' "
        "mean, in groups of requests alike; opportunity: the same among requests that reward these arms; revenue: what "
        "each of these arms earns, in all decisions' mean",
    )
    when: dict[str, Condition] = Field(
        {},
        exclude_if=lambda given: not given,  # older versions did not know it: what they released stays
        description='a segment of requests, as in [[rules]], for example { region = ["DE"] }: it is of these alone; '
        "a request without the feature is of no segment",
    )
    arms: tuple[str, ...] = Field(
        (), description="ids of arms: each has the floor and the cap of a limit; of an exposure they have it together"
    )
    arm: dict[str, Condition] = Field(
        {}, description='a feature of arms and its values, for example { category = ["news"] }: these arms together'
    )
    floor: float = Field(0.0, ge=0, le=1, description="the least probability; served from the next release on")
    cap: float = Field(1.0, ge=0, le=1, description="the largest probability")
    budget: float = Field(0.0, ge=0, description="of a spend: the most of a day, in the unit of the cost")
    cost: str = Field("", description="of a spend: the numeric feature of arms that says what showing one costs")

    across: str = Field(
        "",
        exclude_if=lambda given: not given,
        description="of a parity or an opportunity: the categorical feature of the request that tells groups apart",
    )
    groups: tuple[str, ...] = Field(
        (),
        exclude_if=lambda given: not given,
        description="of a parity or an opportunity: the values of that feature that are compared",
    )
    tolerance: float = Field(
        0.0,
        ge=0,
        le=1,
        exclude_if=lambda given: not given,
        description="of a parity or an opportunity: by how much the shares of two groups may differ, in the mean",
    )
    least: float = Field(
        0.0,
        ge=0,
        exclude_if=lambda given: not given,
        description="of a revenue: what each of its arms earns in the mean of all decisions, in units of reward",
    )

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        asked = {"spend": self._of_spend, "exploration": self._of_exploration, "revenue": self._of_revenue}
        asked |= dict.fromkeys(ALIKE, self._of_parity)
        if self.kind not in ALIKE and (self.across or self.groups or self.tolerance):
            found = "found across, groups or tolerance"
            raise ValueError(f'constraint {self.name}: {found}, which are of kind = "parity" or "opportunity"')
        if self.kind != "revenue" and self.least:
            raise ValueError(f'constraint {self.name}: found least, which is of kind = "revenue"')
        if why := asked.get(self.kind, self._of_shares)():
            raise ValueError(f"constraint {self.name}: {why}")
        return self

    def _of_shares(self) -> str:
        if self.budget or self.cost:
            return 'found budget or cost, which are of kind = "spend"'
        if bool(self.arms) == bool(self.arm):
            return "expected either arms (ids) or arm (a feature), not both"
        if len(self.arm) > 1:
            return f"found {len(self.arm)} features in arm, expected one"
        if not self.floor <= self.cap:
            return f"found floor {self.floor:g} and cap {self.cap:g}, expected floor ≤ cap"
        return "found neither a floor nor a cap, expected one at least" if (self.floor, self.cap) == (0.0, 1.0) else ""

    def _of_parity(self) -> str:
        if self.when or (self.floor, self.cap, self.budget, self.cost) != (0.0, 1.0, 0.0, ""):
            return "found when, floor, cap, budget or cost, expected across, groups and tolerance beside its arms"
        if bool(self.arms) == bool(self.arm) or len(self.arm) > 1:
            return "expected either arms (ids) or arm (one feature), not both"
        if not self.across or len(set(self.groups)) < 2 or len(set(self.groups)) < len(self.groups):
            return "expected across, a feature of the request, and groups: two of its values at least, each once"
        return "" if self.tolerance else "expected a tolerance above 0, for example 0.02"

    def _of_revenue(self) -> str:
        if self.when or self.arm or (self.floor, self.cap, self.budget, self.cost) != (0.0, 1.0, 0.0, ""):
            return "found when, arm, floor, cap, budget or cost, expected arms (ids) and least alone"
        if not self.arms or len(set(self.arms)) < len(self.arms):
            return "expected arms: ids, each once"
        return "" if self.least else "expected a least above 0, in units of reward, for example 0.01"

    def _of_exploration(self) -> str:
        if self.arms or self.arm or self.cap != 1.0 or self.budget or self.cost:
            return "found arms, a cap, budget or cost, expected when and floor alone: every candidate is meant"
        if not self.when or not self.floor:
            return "expected a floor above 0, and when: a segment of requests (of all requests it is policies.floor)"
        return ""

    def _of_spend(self) -> str:
        if self.when:
            return "found when, expected a budget of all requests: which segments pay is not told apart"
        if self.arms or self.arm or (self.floor, self.cap) != (0.0, 1.0):
            return "found arms, floor or cap, expected budget and cost alone: every arm that costs something is meant"
        if not self.budget or not self.cost:
            return "expected a budget above 0, and cost: the feature of arms that says what showing one costs"
        return ""

    @property
    def segments(self) -> tuple[RequestSegment, ...]:
        """The segments of requests that it tells apart."""
        groups = tuple(RequestSegment({self.across: (group,)}) for group in self.groups)
        return (RequestSegment(self.when), *groups) if self.when else groups

    @property
    def category(self) -> tuple[object, ...]:
        """The values of `arm` by which its category is known, in one order; none where it is an interval or of ids."""
        return tuple(sorted((v for each in self.arm.values() if isinstance(each, tuple) for v in each), key=repr))

    @property
    def priced(self) -> tuple[str, ...]:
        """The names of what a price is kept of: of an exposure one a side, of a parity or an opportunity one a group
        and side, of a revenue one an arm, of a spend its own, of a limit none."""
        if self.kind == "revenue":
            return tuple(f"{self.name} {arm}" for arm in self.arms)
        if self.kind in ALIKE:
            return tuple(f"{self.name} {group} {side}" for group in self.groups for side in ("more", "less"))
        sides = (("floor", self.floor > 0), ("cap", self.cap < 1)) if self.kind == "exposure" else ()
        return (self.name,) if self.kind == "spend" else tuple(f"{self.name} {side}" for side, there in sides if there)

    def concerns(self, features: Mapping[str, Any]) -> bool:
        """True if an arm with these features, flat, is of the category."""
        return bool(self.arm) and all_hold((each, features.get(name)) for name, each in self.arm.items()) is True
