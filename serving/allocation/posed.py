"""A request to allocate as the release knows it: features as declared, options that can be chosen now, costs, total."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from croupier.features.encoding.encoder import Encoder
from croupier.features.encoding.undeclared import Undeclared
from croupier.features.schema import InvalidEvent
from croupier.features.spec_values import AllocationSpec
from croupier.models.allocation.request import Budget, Weights
from croupier.serving.contract.allocations import AskedAllocation
from croupier.serving.contract.inline_arms import mixed
from croupier.serving.contract.requests import Raw, Request, dump
from croupier.serving.decide.offered import DecodedRequest, Offered, OfferedRequest, as_declared

COSTS = '{"id", "cost"} in the request, or [allocation.costs] in app.toml'


@dataclass(frozen=True, slots=True, kw_only=True)
class Posed:
    """A decision for each item, without an event yet, over the same options; the budget, the objective's weights."""

    items: tuple[Request, ...]
    offered: OfferedRequest
    budget: Budget
    weights: Weights


def posed(
    asked: AskedAllocation,
    declared: AllocationSpec,
    offered: Offered,
    encoder: Encoder,
    unknown: Undeclared,
    *,
    now: int,
) -> Posed:
    """Raises InvalidEvent naming a feature, option, cost or total that is wrong, and what cannot be allocated."""
    known = _offered(asked, declared, offered, unknown, now)
    shared = known.request
    features = [
        _features(encoder, each.features, f"items[{i}].features", shared, unknown) for i, each in enumerate(asked.items)
    ]
    weights = Weights(relevance=declared.relevance, coverage=declared.coverage, spare=declared.spare)
    budget = _budget(asked, declared, known)
    budget.grid()  # it names what cannot be allocated
    requests = tuple(_request(shared, {**shared.context, **own}) for own in features)
    return Posed(items=requests, offered=known, budget=budget, weights=weights)


def _offered(
    asked: AskedAllocation, declared: AllocationSpec, offered: Offered, unknown: Undeclared, now: int
) -> OfferedRequest:
    """The shared context, and which of the options can be chosen now."""
    options = asked.options or tuple(arm for arm in offered.at(now) if arm in declared.costs)
    if not options:
        raise InvalidEvent("options", "none", f"options, or arms that can be chosen now and have costs: {COSTS}")
    request = Request(
        unit_id=asked.unit_id, context=asked.context, arms=options, event_id=asked.event_id, arm_features=asked.features
    )
    raw = Raw(b"", b"", dump("options", mixed(options, asked.features)))
    try:
        return offered.checked(DecodedRequest(raw, request, known=False), now, unknown)
    except InvalidEvent as error:
        raise renamed(error, "arms", "options") from None


def _features(encoder: Encoder, own: Mapping[str, Any], field: str, shared: Request, unknown: Undeclared) -> Any:
    """What an item adds to the context, as it is declared."""
    try:
        return as_declared(encoder, _request(shared, own), unknown, arms=False).context
    except InvalidEvent as error:
        raise renamed(error, "context", field) from None


def _request(shared: Request, context: Mapping[str, Any]) -> Request:
    return Request(unit_id=shared.unit_id, context=context, arms=shared.arms, arm_features=shared.arm_features)


def renamed(error: InvalidEvent, scope: str, field: str) -> InvalidEvent:
    """The error of a part of the request, by the name that the part has in it."""
    text = str(error)
    if not text.startswith(scope):
        return error
    found = InvalidEvent(field + error.field.removeprefix(scope), None, "")
    found.args = (field + text.removeprefix(scope),)
    return found


def _budget(asked: AskedAllocation, declared: AllocationSpec, known: OfferedRequest) -> Budget:
    """Costs (n, m) of the options that can be chosen now, the total, and regions numbered from 0 in their order."""
    total = declared.total or None if asked.total is None else asked.total
    if total is None:
        raise InvalidEvent("total", None, "a number, or [allocation] total in app.toml")
    kept = [j for j, option in enumerate(known.arms) if option in set(known.request.arms)]
    numbers = {name: i for i, name in enumerate(dict.fromkeys(item.region for item in asked.items))}
    return Budget(
        cost=_costs(asked, declared, known)[:, kept],
        total=total,
        region=np.array([numbers[item.region] for item in asked.items], np.int64),
        covers=np.array([known.arms[j] in declared.covers for j in kept], bool),
    )


def _costs(asked: AskedAllocation, declared: AllocationSpec, known: OfferedRequest) -> np.ndarray[Any, Any]:
    """(n, m): an item's own costs, else the options', else those of app.toml."""
    given = asked.costs or (None,) * len(known.arms)
    shared = [declared.costs.get(arm) if cost is None else cost for arm, cost in zip(known.arms, given, strict=True)]
    rows = []
    for i, item in enumerate(asked.items):
        if item.costs is not None and len(item.costs) != len(known.arms):
            expected = f"one for each of the {len(known.arms)} options"
            raise InvalidEvent(f"items[{i}].costs", f"{len(item.costs)} of them", expected)
        row = shared if item.costs is None else item.costs
        if None in row:
            raise InvalidEvent("options", known.arms[list(row).index(None)], f"an option with a cost: {COSTS}")
        rows.append(row)
    return np.array(rows, np.float64)
