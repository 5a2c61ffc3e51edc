"""What each item of an allocated request has on record beside its own decision: enough to put the request together.

    events REQUEST/0, REQUEST/1, …, REQUEST/n−1    a decision an item: its options are the arms, its marginals the pmf

A row by itself is an ordinary decision; all rows of a request are the allocation, with its joint propensity.
"""

from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Self

import numpy as np
import orjson

from croupier.features.batch import I64, Bool, Texts


@dataclass(frozen=True, slots=True, kw_only=True)
class AllocatedItem:
    """Item `place` of `items` in one request: `costs` of its options, in the order of the decision's arms, under the
    request's `total`; the `region` that it is in (0 where there is but one), and the options that cover one; the
    objective's weights (relevance, coverage, spare). `propensity` is that of the whole allocation. `whole` is True
    where rewards are of the request, not of its items. `name` is the item's own, where the request gave it one;
    `gap` that of the solver, None for a random allocation."""

    request: str
    place: int
    items: int
    total: float
    costs: tuple[float, ...]
    propensity: float
    weights: tuple[float, float, float] = (1.0, 0.0, 0.0)
    region: int = 0
    covers: tuple[bool, ...] = ()
    whole: bool = False
    name: str = ""
    gap: float | None = None

    def to_json(self) -> str:
        """The text that the log keeps."""
        return orjson.dumps(asdict(self)).decode()

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Restores what `to_json` wrote."""
        row = orjson.loads(text)
        lists = {name: tuple(row[name]) for name in ("costs", "weights", "covers")}
        return cls(**{**row, **lists})


item_of = lru_cache(maxsize=1 << 16)(AllocatedItem.from_json)


def item_event(request: str, place: int) -> str:
    """The event of one item of a request, by which it is rewarded."""
    return f"{request}/{place}"


def request_of(event_id: str, allocation: str) -> str:
    """The request that an item's event belongs to; the event itself where it is no item's."""
    return event_id.rpartition("/")[0] if allocation else event_id


def rows_of_requests(allocation: Texts) -> list[tuple[list[AllocatedItem], I64]]:
    """The requests in a column of the log: the items of each, in their order, and the rows they are in. A request may
    lack items, where rows of it are missing."""
    found: dict[str, list[tuple[int, AllocatedItem, int]]] = {}
    for row, text in enumerate(allocation.tolist()):
        if text:
            item = item_of(text)
            found.setdefault(item.request, []).append((item.place, item, row))
    sorted_ = (sorted(each, key=lambda entry: entry[0]) for each in found.values())
    return [([item for _, item, _ in each], np.array([row for *_, row in each], np.int64)) for each in sorted_]


def one_of_each(allocation: Texts | None, n: int) -> Bool:
    """(n,): True for rows that are no item, and for one row of each request, which does not depend on what was drawn.
    What is drawn together is no independent evidence: tests of draws ask for one item of each request."""
    kept = np.ones(n, bool)
    if allocation is not None:
        for items, rows in rows_of_requests(allocation):
            kept[rows] = [item.place == _asked(item.request, item.items) for item in items]
    return kept


def _asked(request: str, items: int) -> int:
    """The item of a request that tests ask: another one from request to request, whatever was drawn."""
    return sum(request.encode()) % items
