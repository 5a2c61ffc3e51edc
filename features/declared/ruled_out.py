"""The arms that declared rules leave out of a request's candidates, before anything is scored."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from croupier.features.declared.rule import RuleSpec
from croupier.features.declared.segment import RequestSegment

Row = Mapping[str, Any]


class RuledOut:
    """Some rules, and a catalogue: id → features, flat. What rules are about is looked up for arms of the catalogue,
    and asked of those that a request brings along. `segments`: those of requests that are declared beside the rules,
    which a log is to know, too."""

    def __init__(
        self, rules: Sequence[RuleSpec], catalogue: Mapping[str, Row], segments: Sequence[RequestSegment] = ()
    ) -> None:
        self.rules, self.segments = tuple(rules), tuple(segments)
        self._of = {rule.name: {a for a, own in catalogue.items() if rule.concerns(a, own)} for rule in rules}

    def __bool__(self) -> bool:
        return bool(self.rules)

    @property
    def concerned(self) -> frozenset[str]:
        """The arms of the catalogue that some rule is about."""
        return frozenset[str]().union(*self._of.values())

    def why(self, context: Row, arms: Sequence[str], given: Sequence[Row | None] = ()) -> dict[str, str]:
        """Why arms of a request are left out: arm → "rule NAME". `context` is flat, `given` are the features of arms
        that the request brought along, None for an arm of the catalogue, or empty."""
        forbidding = [rule for rule in self.rules if rule.forbids(context)]
        if not forbidding:
            return {}
        each = zip(arms, given or [None] * len(arms), strict=True)
        found = {arm: self._rule(forbidding, arm, own) for arm, own in each}
        return {arm: f"rule {name}" for arm, name in found.items() if name}

    def places(
        self,
        contexts: Sequence[Row],
        arms: Sequence[Sequence[str]],
        given: Sequence[Sequence[Row | None]],
        width: int,
    ) -> NDArray[np.bool_]:
        """(n, width) True at the candidates of logged decisions that the rules would leave out now; all False in a row
        of which nothing would be left: such a request is refused, and says nothing of a policy."""
        found = np.zeros((len(arms), width), np.bool_)
        for row, (context, ids, own) in enumerate(zip(contexts, arms, given, strict=True)):
            out = self.why(context, ids, own)
            if len(out) < len(ids):
                found[row, [place for place, arm in enumerate(ids) if arm in out]] = True
        return found

    def _rule(self, forbidding: Sequence[RuleSpec], arm: str, own: Row | None) -> str:
        for rule in forbidding:
            if arm in self._of[rule.name] if own is None else rule.concerns(arm, own):
                return rule.name
        return ""
