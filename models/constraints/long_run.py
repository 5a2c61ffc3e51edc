"""Long-run constraints of app.toml as usage of arms with a limit in the mean, and what their prices take off a score.

exposure    floor: −1 of each arm of the group, at most −floor in the mean of all decisions      "NAME floor"
            cap:   +1 of each arm of the group, at most cap                                        "NAME cap"
parity      more: +1 of each arm, in the group's decisions, at most tolerance/2 above the mean of all groups
            less: −1 of each arm, at most tolerance/2 below it                      "NAME GROUP more", "NAME GROUP less"
opportunity as parity, of decisions weighted by their chance to show these arms to whom they suit (serving/constraints)
revenue     −1/least of each arm, times the reward, at most −1 in the mean of all decisions      "NAME ARM"
spend       the arm's cost each time that it is shown, at most the budget of a UTC day              "NAME"
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from croupier.features.batch import F64, Batch, Bool, Catalogue
from croupier.features.declared.constraint import ALIKE, ConstraintSpec
from croupier.features.declared.segment import RequestSegment
from croupier.models.constraints.multipliers import Multipliers

Rows = Mapping[str, Mapping[str, Any]]
MOST_COST = 1e12  # of an arm: sums of a day's larger ones would not be exact, or no number


@dataclass(frozen=True, kw_only=True)
class Usage:
    """What arms use of one constraint, by their ids (others: 0), and the `limit` of the mean over decisions, all or
    those of a `segment`; where there is a segment `around`, above the mean usage there. Of a spend that of a day's sum,
    its `budget`. `by`: what is counted, decisions, or those `opportunities` among them that reward the arms, or the
    `rewards` that arms earn."""

    constraint: str
    of: Mapping[str, float]
    limit: float
    budget: float = 0.0
    segment: RequestSegment | None = None
    around: RequestSegment | None = None
    by: Literal["decisions", "opportunities", "rewards"] = "decisions"


def usages(declared: Sequence[ConstraintSpec], arms: Rows) -> dict[str, Usage]:
    """By name, for a catalogue's `arms`: id → features, flat. An arm without the feature that is its cost costs
    nothing."""
    found = {}
    for one in declared:
        if one.kind == "spend":
            costs = {arm: float(cost) for arm, own in arms.items() if _is_number(cost := own.get(one.cost)) and cost}
            found[one.name] = Usage(constraint=one.name, of=costs, limit=0.0, budget=one.budget)
        group = [*one.arms] or [arm for arm, own in arms.items() if one.concerns(own)]
        if one.kind in ALIKE:
            found |= _of_groups(one, group)
        if one.kind == "revenue":
            for name, arm in zip(one.priced, one.arms, strict=True):
                found[name] = Usage(constraint=one.name, of={arm: -1 / one.least}, limit=-1.0, by="rewards")
        if one.kind == "exposure":
            sides = {f"{one.name} floor": (-1.0, one.floor), f"{one.name} cap": (1.0, one.cap)}
            for name in one.priced:
                sign, share = sides[name]
                of = dict.fromkeys(group, sign)
                found[name] = Usage(constraint=one.name, of=of, limit=sign * share, segment=RequestSegment.of(one.when))
    return found


def _of_groups(one: ConstraintSpec, arms: Sequence[str]) -> dict[str, Usage]:
    """What each group of a parity, or an opportunity, may have more, and less, than all of them."""
    by: Literal["decisions", "opportunities"] = "opportunities" if one.kind == "opportunity" else "decisions"
    every, found = RequestSegment({one.across: one.groups}), {}
    for group in one.groups:
        for side, sign in (("more", 1.0), ("less", -1.0)):
            found[f"{one.name} {group} {side}"] = Usage(
                constraint=one.name,
                of=dict.fromkeys(arms, sign),
                limit=one.tolerance / 2,
                segment=RequestSegment({one.across: (group,)}),
                around=every,
                by=by,
            )
    return found


def refuse_costs(declared: Sequence[ConstraintSpec], arms: Rows) -> None:
    """Raises ValueError naming the first of a catalogue's `arms` whose cost cannot be added up to a day's spend."""
    for one in (each for each in declared if each.kind == "spend"):
        for arm, own in arms.items():
            cost = own.get(one.cost)
            if isinstance(cost, int | float) and not 0 <= cost <= MOST_COST:
                raise ValueError(
                    f"arm {arm}: found {one.cost} = {cost:g}, which constraint {one.name} counts as a cost, expected a "
                    f"number of at least 0 and at most {MOST_COST:g}; mend catalogue.json"
                )


@dataclass(frozen=True, kw_only=True, eq=False)
class PriceList:
    """What comes off the score of arms, in units of reward: in every request, or in those of a segment; and the arms
    that a hard stop leaves out."""

    by_arm: Mapping[str, float]
    by_segment: Mapping[RequestSegment, Mapping[str, float]] = field(default_factory=dict)
    stopped: frozenset[str] = frozenset()

    @classmethod
    def of(
        cls, declared: Mapping[str, Usage], multipliers: Multipliers, day: str, also: Sequence[str] = ()
    ) -> "PriceList":
        """By the prices of these constraints; those of constraints that are not declared count nothing. `day`: the UTC
        day of the decision ("2026-11-29"), on which a stop of that day holds; `also`: spends that are stopped beside
        those."""
        found: dict[RequestSegment | None, dict[str, float]] = {}
        for name in sorted(declared):  # an order, so that every host rounds alike
            price, usage = multipliers.prices.get(name, 0.0), declared[name]
            prices = found.setdefault(usage.segment, {}) if price else {}
            for arm, used in usage.of.items() if price else ():
                prices[arm] = prices.get(arm, 0.0) + price * used
        names = {*also, *(multipliers.stopped if day and day == multipliers.day else ())}
        ended = [declared[name] for name in names if name in declared]
        stopped = frozenset(arm for each in ended for arm, used in each.of.items() if used > 0)
        apart = {segment: prices for segment, prices in found.items() if segment is not None}
        return cls(by_arm=found.get(None, {}), by_segment=apart, stopped=stopped)

    def on(self, batch: Batch) -> Batch:
        """The batch with these prices beside its own, and without the arms that are stopped where another is left."""
        if self.stopped:
            out = batch.mask & _rows(batch.catalogue, dict.fromkeys(self.stopped, 1.0))[batch.arm].astype(bool)
            batch = replace(batch, mask=_where_left(batch.mask, out))
        if not any(self.by_arm.values()) and not self.by_segment:
            return batch
        price = _rows(batch.catalogue, self.by_arm)[batch.arm]
        for segment, prices in self.by_segment.items():
            price = price + batch.of_segment(segment)[:, None] * _rows(batch.catalogue, prices)[batch.arm]
        return replace(batch, price=price if batch.price is None else batch.price + price)


def _rows(catalogue: Catalogue, by_arm: Mapping[str, float]) -> F64:
    return np.array([by_arm.get(arm, 0.0) for arm in catalogue.ids])


def _where_left(mask: Bool, out: Bool) -> Bool:
    rest = mask & ~out
    return np.asarray(np.where(rest.any(axis=1, keepdims=True), rest, mask))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
