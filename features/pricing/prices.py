"""Price and cost are never guessed: an arm or a request without one of them is refused by name.

Encoded, a missing number would be the training mean, and a policy would choose by a price that nobody asks. Each
decision logs the margin of its arm, price − cost, so that what a sale brought stays what it was, whatever the catalogue
says later.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import orjson

from croupier.features.declared.pricing import PricingSpec
from croupier.features.schema import InvalidEvent

Row = Mapping[str, Any]


class Priced(Protocol):
    """A request or a decision, its features as declared."""

    @property
    def context(self) -> Mapping[str, Any]:
        """The features of the request."""

    @property
    def arms(self) -> Sequence[str]:
        """The ids of its candidates."""

    @property
    def arm_context(self) -> Sequence[Mapping[str, Any]]:
        """Empty, or the features of each pair."""

    @property
    def arm_features(self) -> Sequence[Mapping[str, Any] | None]:
        """Empty, or the features of each arm that was brought along."""


class Prices:
    """What [pricing] asks of arms and requests; nothing, and false, where arms are no prices. `arms`: the features,
    flat, of a catalogue's arms, by id."""

    def __init__(self, pricing: PricingSpec, arms: Mapping[str, Row] | None = None) -> None:
        self._pricing, self._arms = pricing, arms or {}
        self._named = [(what, *named.split(".", 1)) for what, named in pricing.named.items()]

    def __bool__(self) -> bool:
        return bool(self._named)

    def refuse_missing(self, asked: Priced) -> None:
        """Raises InvalidEvent naming the price or the cost that a request does not have, or that is below 0; those of
        the catalogue's arms were looked at when it was released."""
        for what, scope, name in self._named:
            expected = f"a number from 0 on: [pricing] reads the {what} of a sale from it"
            if scope == "context" and not _is_price(value := asked.context.get(name)):
                raise InvalidEvent(f"context.{name}", value, expected)
            rows: Sequence[Row | None] = {"arm": asked.arm_features, "arm_context": asked.arm_context}.get(scope, ())
            if scope == "arm_context" and not rows:
                raise InvalidEvent(f"arm_context.{name}", None, f"{expected}, for each arm")
            for arm, row in zip(asked.arms, rows, strict=False):
                if row is not None and not _is_price(value := row.get(name)):
                    raise InvalidEvent(f"{scope}.{name}", value, f"{expected}, for {arm} too")

    def margin(self, asked: Priced, arm: str) -> str:
        """Price − cost of one of the candidates, as a decision logs it; empty where arms are no prices. Raises
        InvalidEvent naming what is missing."""
        if not self:
            return ""
        place = asked.arms.index(arm)
        own = asked.arm_features[place] if asked.arm_features else None
        pair = asked.arm_context[place] if asked.arm_context else {}
        rows = {"context": asked.context, "arm_context": pair, "arm": self._arms.get(arm, {}) if own is None else own}
        return orjson.dumps(self._less(rows)).decode()

    def _less(self, rows: Mapping[str, Row]) -> float:
        """Price − cost, of the features of each scope. Raises InvalidEvent naming what is missing."""
        found: dict[str, Any] = {"cost": self._pricing.cost}
        for what, scope, name in self._named:
            found[what] = rows[scope].get(name)
            if found[what] is None:
                expected = f"a number from 0 on: [pricing] reads the {what} of a sale from it"
                raise InvalidEvent(f"{scope}.{name}", None, expected)
        return float(found["price"]) - float(found["cost"])

    def problems(self, ends: tuple[float, float] | None = None, units: float = 1.0) -> list[str]:
        """What is wrong with the arms of the catalogue, a sentence each. `ends`: the range of rewards, within which the
        profit of as many `units` as a decision can sell (declared/pricing.most_units) must lie."""
        found = []
        for what, scope, name in self._named:
            lack = [arm for arm, row in self._arms.items() if scope == "arm" and not _is_price(row.get(name))]
            if lack:
                value, more = self._arms[lack[0]].get(name), _others(len(lack) - 1)
                expected = f"expected a number from 0 on: [pricing] reads the {what} of a sale from it"
                found.append(f"arm {lack[0]}: found {name} = {value!r:.60}, {expected}{more}")
        if found or ends is None:
            return found
        low, high = ends
        odd = {arm: margin for arm, margin in self.margins().items() if not low <= margin * units <= high}
        for arm, margin in list(odd.items())[:1]:
            expected = f"expected what reward.range allows, {low:g} to {high:g}: such a reward would be refused"
            found.append(f"pricing: found that {arm} can bring {margin * units:g}, {expected}{_others(len(odd) - 1)}")
        return found

    def margins(self) -> dict[str, float]:
        """Price − cost of each arm of the catalogue; none where requests say one of them."""
        if not self or any(scope != "arm" for _, scope, _ in self._named):
            return {}
        return {arm: self._less({"arm": row}) for arm, row in self._arms.items()}

    def sentences(self) -> list[str]:
        """What is understood, for people."""
        if not self:
            return []
        cost, margins = self._pricing.cost, sorted(self.margins().values())
        between = f"; {margins[0]:g} to {margins[-1]:g} in catalogue.json" if margins else ""
        falls = "; demand does not rise with the price" if self._pricing.monotone else ""
        said = cost if isinstance(cost, str) else f"{cost:g}"
        return [f"pricing: a sale earns {self._pricing.price} less {said}{between}; the reward is that profit{falls}"]


def _is_price(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0


def _others(n: int) -> str:
    return f"; {n:,} more like it" if n else ""
