"""What is known of the log as a whole, in one small object: when `restate` was here last, and which hours are older
than the index of event ids (event_hours.py), so that all of them must be read.

    ledger/restated.json    {"now": UTC µs, "unindexed": {"decisions": [[first hour, last hour], …], "rewards": […]}}

A ledger of before November 2026 names every object of the log that was seen, and no hour: then, and where there is no
ledger yet, nothing is taken for indexed.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import orjson

from croupier.features.store import layout, log_layout
from croupier.features.store.storage import Store
from croupier.features.utc import HOUR, hour_name, hour_start

INDEXED = ("decisions", "rewards")  # the kinds that have an index
Runs = Sequence[Sequence[str]]  # of neighbouring hours: (first, last) of each


@dataclass(frozen=True, kw_only=True)
class LogLedger:
    """`now`: when the log was looked at last, UTC µs. `unindexed`: None where nobody knows. `seen`: of older ledgers.
    `version`: of the object, for `Store.swap`."""

    now: int = 0
    unindexed: Mapping[str, Runs] | None = None
    seen: Collection[str] = ()
    version: str | None = field(default=None, compare=False)

    @classmethod
    def read(cls, store: Store) -> Self:
        """The ledger of a store; an empty one where there is none."""
        raw, version = store.read(layout.RESTATED)
        body: dict[str, Any] = orjson.loads(raw) if version else {}
        return cls(now=body.get("now", 0), unindexed=body.get("unindexed"), seen=body.get("seen", ()), version=version)

    def write(self, store: Store, *, now: int, new: Mapping[str, Collection[str]]) -> None:
        """Notes a look at `now` (UTC µs) that saw the objects `new` by kind. Raises Conflict where another look was
        quicker."""
        runs = {}
        for kind in INDEXED:
            older = {hour_start(layout.hour_of(key)) for key in new.get(kind, ()) if not log_layout.is_indexed(key)}
            runs[kind] = _runs(older.union(_starts((self.unindexed or {}).get(kind, ()))))
        store.swap(layout.RESTATED, orjson.dumps({"now": now, "unindexed": runs}), self.version)

    def older_hours(self, kind: str, first: int, last: int) -> list[str] | None:
        """The hours that begin in [first, last] (UTC µs) in which objects of this kind may have no index, in order;
        None where nobody knows."""
        if self.unindexed is None:
            return None
        return [hour_name(at) for at in _starts(self.unindexed[kind]) if first <= at <= last]


def _starts(runs: Runs) -> Iterable[int]:
    return (at for first, last in runs for at in range(hour_start(first), hour_start(last) + 1, HOUR))


def _runs(starts: set[int]) -> list[list[str]]:
    ends = sorted(at for at in starts if at + HOUR not in starts)
    begins = sorted(at for at in starts if at - HOUR not in starts)
    return [[hour_name(first), hour_name(last)] for first, last in zip(begins, ends, strict=True)]
