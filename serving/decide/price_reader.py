"""The prices of long-run constraints as a host's selector sees them: a mirror of the store's multipliers."""

import os
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import Any

from croupier.features.batch import Batch
from croupier.features.store import layout
from croupier.features.store.storage import Store
from croupier.features.utc import from_us
from croupier.models.constraints import kept_multipliers
from croupier.models.constraints.beside_baseline import BesideBaseline
from croupier.models.constraints.long_run import PriceList, Usage
from croupier.models.constraints.multipliers import Multipliers
from croupier.serving.contract.requests import Request
from croupier.serving.spending.exploring import ExploringLease, ExploringLeases
from croupier.serving.spending.leases import ALL, Lease, SpendingLeases


def mirror(store: Store, home: Path) -> None:
    """Brings this host's <home>/multipliers.json to those in force, by rename; writes nothing where there are none, or
    nothing has changed."""
    text = kept_multipliers.now(store).multipliers.to_json()
    target = home / layout.MULTIPLIERS_MIRROR
    if text == kept_multipliers.FREE.to_json() or (target.exists() and target.read_text() == text):
        return
    draft = target.with_name(f".{target.name}-{uuid.uuid4().hex[:8]}")
    try:
        with draft.open("w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)


_NOTHING_TO_EXPLORE, _UNLIMITED = nullcontext(ExploringLease()), (Lease(rows=ALL),)  # they count nothing


class PriceReader:
    """The mirror, looked at no more than once in `every` seconds. While it cannot be read, what was read last holds;
    before anything was, nothing has a price. `leases`: what this host counts of a day's budgets, beside it;
    `exploring`: what it counts beside a declared baseline."""

    def __init__(self, path: Path, every: float = 0.5) -> None:
        self._path, self._every, self._looked = path, every, -float("inf")
        self._found = kept_multipliers.FREE
        self.leases = SpendingLeases(path.parent / layout.SPENDING)
        self.exploring = ExploringLeases(path.parent / layout.SPENDING)

    def now(self) -> Multipliers:
        """The multipliers that hold now."""
        at = time.monotonic()
        if at - self._looked >= self._every:
            self._looked = at
            with suppress(OSError, ValueError):
                self._found = Multipliers.from_json(self._path.read_text())
        return self._found


class Pricing:
    """What a release's long-run constraints take off scores, by multipliers of any version, and how far it departs from
    a declared baseline."""

    def __init__(self, declared: Mapping[str, Usage], beside: BesideBaseline | None = None) -> None:
        self._declared, self._beside = declared, beside
        self._known: tuple[tuple[int, str, tuple[str, ...]], PriceList] | None = None
        self._spends = {name: usage for name, usage in declared.items() if usage.budget}

    def __bool__(self) -> bool:
        return bool(self._declared)

    @property
    def spends(self) -> bool:
        """True if each decision uses up something that a host counts."""
        return bool(self._spends or self._beside)

    def exploring(
        self, requests: Sequence[Request], reader: PriceReader | None, now: Multipliers, host: str
    ) -> AbstractContextManager[ExploringLease]:
        """The policy's shares in these requests beside the baseline, on the `host` whose log has this id."""
        if reader is None or self._beside is None:
            return _NOTHING_TO_EXPLORE
        mine = now.allowance if now.allowance and now.allowance.of(self._beside.name) else None
        return reader.exploring.of(requests, self._beside.alpha, mine, host)

    def leases(self, requests: Sequence[Request], reader: PriceReader | None, at: int) -> Iterator[Lease]:
        """Yields the parts in which requests are decided at `at`: within this host's part of each day's budget, and
        beyond; all at once where there is none."""
        if reader is None or not self._spends:
            return iter(_UNLIMITED)
        return reader.leases.of(requests, self._spends, reader.now(), _day(at))

    def paid(self, batch: Batch, now: Multipliers, at: int, lease: Lease | None = None) -> tuple[dict[str, Any], Batch]:
        """What decisions are stamped with beside their release, and the batch as it is scored at `at` under a lease,
        with the multipliers of `now`."""
        if not self._declared and self._beside is None:
            return {}, batch
        stopped = lease.stopped if lease else ()
        stamp = {"multipliers": now.version} | ({"stopped": lease.text} if lease and stopped else {})
        return stamp, self.on(batch, now, at, stopped)

    def on(self, batch: Batch, multipliers: Multipliers, at: int, stopped: Sequence[str] = ()) -> Batch:
        """The batch as it is scored at `at` (UTC µs): less its arms' prices, without arms that are stopped, by the
        controller or, `stopped`, by the host."""
        if not self._declared or not (multipliers.version or stopped):
            return batch
        key = multipliers.version, _day(at), tuple(stopped)
        if self._known is None or self._known[0] != key:
            self._known = key, PriceList.of(self._declared, multipliers, key[1], stopped)
        return self._known[1].on(batch)


def _day(at: int) -> str:
    """The UTC day of a decision."""
    return f"{from_us(at):%Y-%m-%d}"
