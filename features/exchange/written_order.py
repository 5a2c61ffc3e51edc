"""Lists of candidates that were written after the draw, the shown arm first.

People log what they showed as a ranking: the shown arm, then the others. Such an order tells the draw, while the audit
of propensities takes it for what the product asked with, and finds that the first candidate is drawn far too often.
Where the shown arm stands first in every row, though with its propensities that would happen by chance with probability
exp(−NATS) at most, the order is taken for one of this kind, and each row's candidates are put in the order of names.
"""

from dataclasses import replace
from math import log
from typing import Any

from croupier.features.schema import LEAST_PROPENSITY, Decision

NATS = 5.0
NOTE = (
    "the shown arm is the first candidate of every row: that order was written after the draw, so candidates are put "
    "in the order of their names; where the product did always show the first, its propensities are wrong"
)


class WrittenOrder:
    """What the rows seen so far say of the order of their candidates."""

    def __init__(self) -> None:
        self._always, self._nats = True, 0.0

    def see(self, *, first: bool, candidates: int, propensity: float) -> bool:
        """Takes a row in; `first`: the shown arm stands first. False once no further row can matter."""
        if candidates > 1 and 0.0 < propensity <= 1.0:
            self._always = self._always and first
            self._nats -= log(max(propensity, LEAST_PROPENSITY))
        return self._always

    @property
    def after_draw(self) -> bool:
        """Whether the order tells the draw."""
        return self._always and self._nats > NATS

    def mended(self, decision: Decision) -> Decision:
        """The decision with its candidates in an order that tells nothing."""
        if not self.after_draw:
            return decision
        order = sorted(range(len(decision.arms)), key=decision.arms.__getitem__)
        lists = {name: getattr(decision, name) for name in ("arms", "pmf", "arm_context", "arm_features")}
        changed: dict[str, Any] = {name: tuple(each[i] for i in order) for name, each in lists.items() if each}
        return replace(decision, **changed)
