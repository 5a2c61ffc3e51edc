"""Rules of app.toml: which arms a request may never be given, by declared conditions."""

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from croupier.features.declared.condition import Condition, all_hold
from croupier.features.spec_values import Name, Strict


class RuleSpec(Strict):
    """Arms that no request of a kind is ever given: they are left out before anything is scored. All conditions of
    `when` must hold, and all of `arm`; a rule without `when` holds for every request."""

    name: Name = Field(min_length=1, max_length=80, description="what the rule is called, in answers and metrics")
    when: dict[str, Condition] = Field(
        {},
        description='of the request: feature → values, for example { region = ["DE", "AT"] }, or an interval of '
        "numbers, for example { age = { below = 18 } }; served from the next release on",
    )
    arms: tuple[str, ...] = Field((), description="ids of the arms that are left out")
    arm: dict[str, Condition] = Field(
        {}, description="of an arm: features of those that are left out; an arm without the feature is none of them"
    )
    missing: Literal["exclude", "keep"] = Field(
        "exclude", description="what becomes of these arms where a request does not have a feature of `when`"
    )

    @model_validator(mode="after")
    def _names_arms(self) -> Self:
        if bool(self.arms) == bool(self.arm):
            raise ValueError(f"rule {self.name}: expected either arms (their ids) or arm (their features), not both")
        return self

    def forbids(self, context: Mapping[str, Any]) -> bool:
        """True if a request with this context, flat, may not be given the rule's arms."""
        found = all_hold((condition, context.get(name)) for name, condition in self.when.items())
        return self.missing == "exclude" if found is None else found

    def concerns(self, arm: str, features: Mapping[str, Any]) -> bool:
        """True if the rule is about the arm of this id and these features, flat."""
        if self.arms:
            return arm in self.arms
        return all_hold((condition, features.get(name)) for name, condition in self.arm.items()) is True
