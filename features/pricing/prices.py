"""Price and cost are never guessed: an arm or a request without one of them is refused by name.

Encoded, a missing number would be the training mean, and a policy would choose by a price that nobody asks.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from croupier.features.declared.plain_rows import PlainRows
from croupier.features.declared.pricing import PricingSpec
from croupier.features.schema import InvalidEvent

Row = Mapping[str, Any]


class Prices:
    """What [pricing] asks of arms and requests; nothing, and false, where arms are no prices."""

    def __init__(self, pricing: PricingSpec) -> None:
        self._pricing = pricing
        self._named = [(what, *named.split(".", 1)) for what, named in pricing.named.items()]

    def __bool__(self) -> bool:
        return bool(self._named)

    def refuse_missing(
        self, context: Row, arms: Sequence[str], arm_context: Sequence[Row], arm_features: Sequence[Row | None]
    ) -> None:
        """Raises InvalidEvent naming the price or the cost that a request, its features as declared, does not have;
        those of the catalogue's arms were looked at when it was released."""
        for what, scope, name in self._named:
            expected = f"a number: [pricing] reads the {what} of a sale from it"
            if scope == "context" and context.get(name) is None:
                raise InvalidEvent(f"context.{name}", None, expected)
            rows: Sequence[Row | None] = {"arm": arm_features, "arm_context": arm_context}.get(scope, ())
            if scope == "arm_context" and not rows:
                raise InvalidEvent(f"arm_context.{name}", None, f"{expected}, for each arm")
            if isinstance(rows, PlainRows):
                continue  # complete, as plain rows are
            for arm, row in zip(arms, rows, strict=False):
                if row is not None and row.get(name) is None:
                    raise InvalidEvent(f"{scope}.{name}", None, f"{expected}, for {arm} too")

    def problems(self, arms: Mapping[str, Row], ends: tuple[float, float] | None = None) -> list[str]:
        """What is wrong with the arms of a catalogue, by id, their features flat: a sentence each. `ends`: the range of
        rewards, within which the profit of a sale must lie."""
        found = []
        for what, scope, name in self._named:
            lack = [arm for arm, row in arms.items() if scope == "arm" and not _is_price(row.get(name))]
            if lack:
                more = f"; so have {len(lack) - 1:,} others" if len(lack) > 1 else ""
                value = arms[lack[0]].get(name)
                expected = f"expected a number from 0 on: [pricing] reads the {what} of a sale from it"
                found.append(f"arm {lack[0]}: found {name} = {value!r:.60}, {expected}{more}")
        if found or ends is None:
            return found
        most, (low, high) = self._pricing.most, ends
        odd = {arm: m for arm, m in self.margins(arms).items() if not low <= m * most <= high}
        for arm, margin in list(odd.items())[:1]:
            expected = f"expected what reward.range allows, {low:g} to {high:g}: such a reward would be refused"
            more = f"; so do {len(odd) - 1:,} others" if len(odd) > 1 else ""
            found.append(f"pricing: found that {arm} can bring {margin * most:g}, {expected}{more}")
        return found

    def margins(self, arms: Mapping[str, Row]) -> dict[str, float]:
        """Price − cost of each arm; none where requests say one of them."""
        named = {what: (scope, name) for what, scope, name in self._named}
        if not named or any(scope != "arm" for scope, _ in named.values()):
            return {}
        cost = self._pricing.cost
        fixed = 0.0 if isinstance(cost, str) else float(cost)
        return {
            arm: float(row[named["price"][1]]) - (float(row[named["cost"][1]]) if "cost" in named else fixed)
            for arm, row in arms.items()
        }

    def sentences(self, arms: Mapping[str, Row]) -> list[str]:
        """What is understood, for people."""
        if not self:
            return []
        cost = self._pricing.cost
        margins = sorted(self.margins(arms).values())
        between = f"; {margins[0]:g} to {margins[-1]:g} in catalogue.json" if margins else ""
        falls = "; demand does not rise with the price" if self._pricing.monotone else ""
        said = cost if isinstance(cost, str) else f"{cost:g}"
        return [f"pricing: a sale earns {self._pricing.price} less {said}{between}; the reward is that profit{falls}"]


def _is_price(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0
