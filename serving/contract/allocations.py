"""To allocate: an option for each of several items, with the sum of their costs within a total.

    AllocateRequest ─▶ events REQUEST/0 … REQUEST/n−1, a decision an item, drawn together ─▶ Allocated

Everything a caller sends is hostile until `decode` has passed it. What it brings along is one JSON object, so that it
travels as one tensor.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import orjson

from croupier.features.budgets.allocated_item import item_event
from croupier.features.schema import MAX_ARMS, InvalidEvent
from croupier.serving.contract.requests import MAX_ID_BYTES, dump, identifier, utf8

MAX_BYTES = 8 << 20  # of a request
MAX_ITEMS = 1000
ITEM = frozenset({"id", "features", "costs", "region"})
OPTION = frozenset({"id", "features", "cost"})
_SHAPE = 'an object of some of "id", "features", "costs" and "region"'


@dataclass(frozen=True, slots=True, kw_only=True)
class AllocateRequest:
    """Give each of `items` one of `options`, within `total`. An item is {"features": {…}}, what it adds to the context,
    and may have an "id", a "region" (a name), and "costs", one for each option. An option is an arm of the catalogue by
    its id, or {"id", "cost"}, and {"id", "features", "cost"} where requests bring arms along. Left out: all arms that
    app.toml gives a cost; `total` None: app.toml's. `event_id` names the request: it has the same answer again."""

    unit_id: str
    items: Sequence[Mapping[str, Any]]
    total: float | None = None
    context: Mapping[str, Any] | None = None
    options: Sequence[str | Mapping[str, Any]] | None = None
    event_id: str = ""


@dataclass(frozen=True, slots=True)
class RawAllocate:
    """A request as it came over the wire: none of it trusted. `asked` is a JSON object of context, items, options and
    total."""

    unit_id: bytes
    asked: bytes
    event_id: bytes = b""

    @classmethod
    def of(cls, request: AllocateRequest) -> Self:
        """The wire form of a request. Raises InvalidEvent naming what JSON cannot carry."""
        asked = {
            name: dump(name, value)
            for name in ("context", "items", "options", "total")
            if (value := getattr(request, name)) is not None
        }
        text = b"{" + b",".join(b'"%s":%s' % (name.encode(), value) for name, value in asked.items()) + b"}"
        return cls(utf8("unit_id", request.unit_id), text, utf8("event_id", request.event_id))


def raw_or_error(request: AllocateRequest) -> RawAllocate | InvalidEvent:
    """The wire form of a request, or what JSON cannot carry of it."""
    try:
        return RawAllocate.of(request)
    except InvalidEvent as error:
        return error


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedItem:
    """One item: what it adds to the context, what its options cost where the request says so, and its region's name."""

    name: str
    features: dict[str, Any]
    costs: tuple[float, ...] | None
    region: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedAllocation:
    """A decoded request: of the right shape. Features are the encoder's to check, options and costs the server's."""

    unit_id: str
    context: dict[str, Any]
    items: tuple[AskedItem, ...]
    options: tuple[str, ...] | None
    features: tuple[dict[str, Any] | None, ...]
    costs: tuple[float | None, ...]
    total: float | None
    event_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Allocated:
    """The answer: `options`, one an item, at `cost` in all. Reward an item by its event of `events`, or the whole
    request by `event_id`, as app.toml declares. `propensity` is that of this whole allocation; `marginals` has for each
    item the probability of each of `offered`; `gap`: how far, in units of the reward, the mean draw's solution may
    be from the best one (None where it was drawn at random); `step`: rewards that the posterior had learnt from. With
    `error` set nothing was decided."""

    event_id: str = ""
    options: tuple[str, ...] = ()
    cost: float = 0.0
    events: tuple[str, ...] = ()
    propensity: float = 0.0
    offered: tuple[str, ...] = ()
    marginals: tuple[tuple[float, ...], ...] = ()
    gap: float | None = None
    step: int = 0
    release: int = 0
    role: str = ""
    error: str = ""

    def to_json(self) -> bytes:
        """The answer as it travels."""
        return orjson.dumps(asdict(self))

    @classmethod
    def from_json(cls, raw: bytes | str) -> Self:
        """Restores what `to_json` wrote. Raises ValueError or TypeError where it is no answer."""
        row = orjson.loads(raw)
        lists = {name: tuple(row[name]) for name in ("options", "events", "offered")}
        return cls(**{**row, **lists, "marginals": tuple(map(tuple, row["marginals"]))})


def item_events(event_id: str, items: int) -> tuple[str, ...]:
    """The events of a request's items, in their order."""
    return tuple(item_event(event_id, place) for place in range(items))


def decode(raw: RawAllocate) -> AskedAllocation:
    """Raises InvalidEvent naming the field."""
    if len(raw.asked) > MAX_BYTES:
        raise InvalidEvent("items", f"{len(raw.asked)} bytes", f"at most {MAX_BYTES} of context, items and options")
    try:
        body = orjson.loads(raw.asked)
    except orjson.JSONDecodeError as error:
        raise InvalidEvent("items", raw.asked[:40], f"JSON ({error}); NaN and Infinity are not JSON") from None
    if not isinstance(body, dict) or (odd := body.keys() - {"context", "items", "options", "total"}):
        found = sorted(odd)[:3] if isinstance(body, dict) else body
        raise InvalidEvent("items", found, "a JSON object of context, items, options and total")
    context = body.get("context") or {}
    if not isinstance(context, dict):
        raise InvalidEvent("context", context, "a JSON object of declared features")
    names, features, costs = _options(body.get("options"))
    return AskedAllocation(
        unit_id=identifier("unit_id", raw.unit_id),
        context=context,
        items=_items(body.get("items"), context),
        options=names,
        features=features,
        costs=costs,
        total=None if body.get("total") is None else _number("total", body["total"]),
        event_id=_named(raw.event_id) if raw.event_id else "",
    )


def _named(raw: bytes) -> str:
    """The id of a request, which leaves room for the places of its items."""
    if len(raw) > MAX_ID_BYTES - len(item_event("", MAX_ITEMS)):
        raise InvalidEvent("event_id", f"{len(raw)} bytes", "250 bytes at most: those of items are longer")
    return identifier("event_id", raw)


def _items(found: Any, context: Mapping[str, Any]) -> tuple[AskedItem, ...]:
    if not isinstance(found, list) or not found:
        raise InvalidEvent("items", found, "a list of one item at least")
    if len(found) > MAX_ITEMS:
        raise InvalidEvent("items", f"{len(found)} of them", f"at most {MAX_ITEMS}: allocate to groups of them first")
    items = tuple(_item(i, each, context) for i, each in enumerate(found))
    names = [item.name for item in items if item.name]
    if len(set(names)) != len(names):
        raise InvalidEvent("items", next(name for name, n in Counter(names).items() if n > 1), "each id once")
    return items


def _item(i: int, found: Any, context: Mapping[str, Any]) -> AskedItem:
    if not isinstance(found, dict) or found.keys() - ITEM:
        raise InvalidEvent(f"items[{i}]", found, _SHAPE)
    features, costs, name = found.get("features") or {}, found.get("costs"), found.get("id")
    if not isinstance(features, dict):
        raise InvalidEvent(f"items[{i}].features", features, "a JSON object of declared features, [context.NAME]")
    if both := features.keys() & context.keys():
        raise InvalidEvent(f"items[{i}].features.{min(both)}", features[min(both)], "a feature that `context` lacks")
    if costs is not None and not isinstance(costs, list):
        raise InvalidEvent(f"items[{i}].costs", costs, "a list of one cost for each option")
    if name is not None:
        identifier(f"items[{i}].id", utf8(f"items[{i}].id", name))
    region = found.get("region")
    if region is not None and not isinstance(region, str | int):
        raise InvalidEvent(f"items[{i}].region", region, "a name or a whole number")
    return AskedItem(
        name=name or "",
        features=features,
        costs=None if costs is None else tuple(_number(f"items[{i}].costs[{j}]", each) for j, each in enumerate(costs)),
        region="" if region is None else str(region),
    )


Options = tuple[tuple[str, ...] | None, tuple[dict[str, Any] | None, ...], tuple[float | None, ...]]


def _options(found: Any) -> Options:
    """Ids, features and costs of the options; no ids where the request lists none."""
    if found is None:
        return None, (), ()
    if not isinstance(found, list) or not 0 < len(found) <= MAX_ARMS:
        raise InvalidEvent("options", found, f"a list of 1 to {MAX_ARMS} ids, or objects with one")
    rows: list[Any] = [{"id": each} if isinstance(each, str) else each for each in found]
    for j, row in enumerate(rows):
        if not isinstance(row, dict) or row.keys() - OPTION or not isinstance(row.get("id"), str):
            raise InvalidEvent(f"options[{j}]", found[j], 'an id, or an object of "id", "cost" and "features"')
        identifier(f"options[{j}].id", utf8(f"options[{j}].id", row["id"]))
        if not isinstance(row.get("features", {}), dict):
            raise InvalidEvent(f"options[{j}].features", row["features"], "a JSON object of declared features")
    names: tuple[str, ...] = tuple(row["id"] for row in rows)
    if len(set(names)) != len(names):
        raise InvalidEvent("options", next(name for name, n in Counter(names).items() if n > 1), "each option once")
    costs = tuple(
        None if row.get("cost") is None else _number(f"options[{j}].cost", row["cost"]) for j, row in enumerate(rows)
    )
    features = tuple(row.get("features") for row in rows)
    return names, features if any(own is not None for own in features) else (), costs


def _number(field: str, found: Any) -> float:
    if isinstance(found, bool) or not isinstance(found, int | float) or not math.isfinite(found) or found < 0:
        raise InvalidEvent(field, found, "a finite number, 0 or more")
    return float(found)
