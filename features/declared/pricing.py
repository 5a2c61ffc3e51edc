"""[pricing] of app.toml: arms are prices, and what is rewarded is the profit of a sale."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from pydantic import Field, StrictStr, field_validator

from croupier.features.declared.feature import Feature
from croupier.features.declared.policies import PoliciesSpec
from croupier.features.spec_values import Strict

DEMAND = "demand_ts"  # the policy that learns demand
SCOPES = {"price": ("arm", "arm_context"), "cost": ("arm", "context", "arm_context")}
MENDED = "expected one that is encoded as it is: transform 'standardise' or 'none', and no clip"


class PricingSpec(Strict):
    """Arms that are prices. The reward is profit, in money: each sale brings price − cost of the arm that was shown, no
    sale 0. The policy `demand_ts` learns how often is bought at each price, and chooses by (price − cost) · demand."""

    price: str = Field("", description="the number that is an arm's price: arm.NAME or arm_context.NAME; empty: none")
    cost: StrictStr | float = Field(
        0.0, description="what one sale costs: a number, or arm.NAME, context.NAME or arm_context.NAME"
    )
    monotone: bool = Field(True, description="demand does not rise with the price, for each request by itself")
    most: float = Field(1.0, gt=0, description="the most that one decision can sell")

    @field_validator("cost", mode="before")
    @classmethod
    def _no_truth(cls, value: object) -> object:
        if isinstance(value, bool):
            raise ValueError("expected a number, or the name of a feature: arm.NAME, context.NAME, arm_context.NAME")
        return value

    @property
    def declared(self) -> bool:
        """Whether arms are prices."""
        return bool(self.price)

    @property
    def named(self) -> dict[str, str]:
        """The features that say price and cost, SCOPE.NAME, by what they say."""
        cost = {"cost": self.cost} if isinstance(self.cost, str) else {}
        return {"price": self.price} | cost if self.declared else {}


Features = Mapping[str, Feature]


def check(pricing: PricingSpec, context: Features, arm: Features, arm_context: Features) -> None:
    """Raises ValueError where price and cost are not declared as numbers that are encoded as they are."""
    if not pricing.declared and pricing != PricingSpec():
        raise ValueError("pricing: found no price, expected the feature that is an arm's price: arm.NAME")
    features = {"context": context, "arm": arm, "arm_context": arm_context}
    for what, named in pricing.named.items():
        _check_amount(what, named, features)


def check_beside(pricing: PricingSpec, policies: PoliciesSpec, default: float, *, allocates: bool) -> None:
    """Raises ValueError where prices do not fit the candidates, the `default` reward, or [allocation]."""
    if not pricing.declared and DEMAND in policies.candidates:
        found = f"found {DEMAND} without [pricing]"
        raise ValueError(f"policies.candidates: {found}, expected pricing.price and pricing.cost: it needs both")
    if pricing.declared and default:
        raise ValueError(f"reward.default: found {default:g} beside [pricing], expected 0: no sale brings nothing")
    if pricing.declared and allocates:
        raise ValueError("pricing: found it beside [allocation], expected one of them")


class Sold(Protocol):
    """A kind of reward: KindSpec of features/spec.py."""

    @property
    def sold(self) -> bool:
        """Whether its values count sales."""

    @property
    def weight(self) -> float:
        """What one unit of this kind adds."""

    @property
    def clip(self) -> tuple[float, float] | None:
        """The ends to which a value is cut."""

    @property
    def range(self) -> tuple[float, float] | None:
        """The ends of one value."""


def most_units(pricing: PricingSpec, kinds: Iterable[Sold]) -> float:
    """The most margins that the sales of one kind of a decision bring: its weight times the highest value of it. Where
    no kind counts sales, apps send profits, and it is `most`."""
    highest = [kind.weight * (kind.clip or kind.range or (0.0, pricing.most))[1] for kind in kinds if kind.sold]
    return max(highest, default=pricing.most)


def check_sold(pricing: PricingSpec, kinds: Sequence[str]) -> None:
    """Raises ValueError where these kinds of reward count sales, and arms are no prices."""
    if kinds and not pricing.declared:
        found = f"found sold = true of {', '.join(kinds)} without [pricing]"
        raise ValueError(f"reward.kinds: {found}, expected pricing.price and pricing.cost: what a sale adds")


def _check_amount(what: str, named: str, features: Mapping[str, Features]) -> None:
    scope, _, name = named.partition(".")
    allowed = SCOPES[what]
    if scope not in allowed or name not in features[scope]:
        there = [f"{each}.{n}" for each in allowed for n, f in features[each].items() if f.type == "numeric"]
        plain = "a number without quotes, or " if what == "cost" else ""
        expected = f"expected {plain}a declared number: {', '.join(sorted(there)) or 'none is'}"
        raise ValueError(f"pricing.{what}: found {named!r}, {expected}")
    found = features[scope][name]
    if found.type != "numeric":
        raise ValueError(f"pricing.{what}: found {named}, a feature of type {found.type}, expected a number")
    if found.transform == "log" or found.clip is not None:
        what_is = "a clip" if found.clip is not None else "transform 'log'"
        raise ValueError(f"pricing.{what}: found {named} with {what_is}, {MENDED}")
