"""Constraints of app.toml: how often arms and categories may, or must, be chosen."""

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from croupier.features.declared.condition import Condition, all_hold
from croupier.features.spec_values import Strict


class ConstraintSpec(Strict):
    """How often arms may, or must, be chosen. `limit`: in every decision that lists them, exactly, by the nearest pmf
    that keeps it; each of `arms` by itself, or all arms of a category (`arm`) together."""

    name: str = Field(min_length=1, max_length=80, description="what it is called, in errors and reports")
    kind: Literal["limit"] = Field("limit", description="limit: of each decision's probabilities")
    arms: tuple[str, ...] = Field((), description="ids of arms, each of which has the floor and the cap")
    arm: dict[str, Condition] = Field(
        {}, description='a feature of arms and its values, for example { category = ["news"] }: these arms together'
    )
    floor: float = Field(0.0, ge=0, le=1, description="the least probability; served from the next release on")
    cap: float = Field(1.0, ge=0, le=1, description="the largest probability")

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if bool(self.arms) == bool(self.arm):
            raise ValueError(f"constraint {self.name}: expected either arms (ids) or arm (a feature), not both")
        if len(self.arm) > 1:
            raise ValueError(f"constraint {self.name}: found {len(self.arm)} features in arm, expected one")
        if not self.floor <= self.cap:
            raise ValueError(
                f"constraint {self.name}: found floor {self.floor:g} and cap {self.cap:g}, expected floor ≤ cap"
            )
        if (self.floor, self.cap) == (0.0, 1.0):
            raise ValueError(f"constraint {self.name}: found neither a floor nor a cap, expected one at least")
        return self

    def concerns(self, features: Mapping[str, Any]) -> bool:
        """True if an arm with these features, flat, is of the category."""
        return bool(self.arm) and all_hold((each, features.get(name)) for name, each in self.arm.items()) is True
