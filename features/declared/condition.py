"""A condition on one feature, as app.toml writes it: one of some values, or within an interval of numbers."""

from collections.abc import Iterable
from typing import Annotated, Any, Self

from pydantic import Field, StrictBool, StrictFloat, StrictInt, StrictStr, model_validator

from croupier.features.declared.feature import Feature
from croupier.features.spec_values import Strict

Value = StrictBool | StrictInt | StrictFloat | StrictStr


class Between(Strict):
    """Numbers from `at_least` on that are below `below`; a side that is left out is open."""

    at_least: float | None = Field(None, description="the least number that is within")
    below: float | None = Field(None, description="numbers below this one are within")

    @model_validator(mode="after")
    def _has_a_side(self) -> Self:
        if self.at_least is None and self.below is None:
            raise ValueError("expected at_least, below, or both, for example { below = 18 }")
        if self.at_least is not None and self.below is not None and not self.at_least < self.below:
            raise ValueError(f"expected at_least under below, found {self.at_least:g} and {self.below:g}")
        return self

    def holds(self, value: float) -> bool:
        """True if the number is within."""
        return (self.at_least is None or value >= self.at_least) and (self.below is None or value < self.below)


Condition = Between | Annotated[tuple[Value, ...], Field(min_length=1)]


def holds(condition: Condition, value: Any) -> bool | None:
    """True if a feature of this value meets the condition; None where it has none (None, a NaN, or a value that is no
    number where numbers are asked for). Of a list of words one word is enough."""
    if value is None or value != value:  # noqa: PLR0124 — NaN
        return None
    if isinstance(condition, Between):
        return condition.holds(value) if _is_number(value) else None
    if isinstance(value, list | tuple):
        return any(_same(each, wanted) for each in value for wanted in condition)
    return any(_same(value, wanted) for wanted in condition)


def all_hold(conditions: Iterable[tuple[Condition, Any]]) -> bool | None:
    """True if all hold, False if one does not, None where that hangs on a value that is missing."""
    found = [holds(condition, value) for condition, value in conditions]
    return False if False in found else None if None in found else True


def misfit(condition: Condition, feature: Feature) -> str:
    """Why a condition cannot be asked of a feature of this type; "" if it can."""
    if feature.type in ("embedding", "timestamp"):
        return f"a feature of type {feature.type} can stand in no condition"
    if isinstance(condition, Between):
        return "" if feature.type == "numeric" else f"{{ at_least, below }} is of numbers, found type {feature.type}"
    for value in condition:
        if (feature.type == "numeric") is not _is_number(value):
            return f"found {value!r}, expected {'numbers' if feature.type == 'numeric' else 'texts, or true or false'}"
    return ""


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _same(value: Any, wanted: Value) -> bool:
    """Equal, and of one kind: true is not 1."""
    return isinstance(value, bool) is isinstance(wanted, bool) and bool(value == wanted)
