"""How many requests may still be shown arms that cost something, before they are decided: none spends a day's budget
beyond what this host may.

    requests ─▶ reserve the dearest arm of each, as many as there is room for ─▶ decide ─▶ give back what was not spent
                ▲                                                                              │
                └── the others, with what is left; no room for one: from it on, its arms are left out

One host may spend the whole budget. Of several each may spend an equal part of what is left at each look of the
controller, or of the whole before the first look of a day. A decision whose arms were left out in this way says so
(`stopped`), so that it can be replayed. What a look finds in the log counts, too, where a host has lost its account.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import orjson

from croupier.features.schema import Decision
from croupier.models.constraints.long_run import Usage
from croupier.models.constraints.multipliers import Multipliers
from croupier.serving.contract.requests import CANARY, Request
from croupier.serving.spending.host_account import HostAccount, SpentHere

MOST = 8  # leases of a batch, before what is not decided yet goes without
ROUNDING = 1e-9  # of a budget: sums of costs are not exact


@dataclass(kw_only=True, eq=False)
class Lease:
    """`rows` of the requests that are decided under it, without the arms of the spends `stopped`; `spent` by name, as
    their decisions are put on record."""

    rows: slice
    stopped: tuple[str, ...] = ()
    usages: Mapping[str, Usage] = field(default_factory=dict)
    spent: dict[str, float] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """`stopped` as decisions have it."""
        return orjson.dumps(self.stopped).decode() if self.stopped else ""

    def count(self, requests: Sequence[Request], stored: Sequence[Decision], now: int) -> None:
        """Counts what decisions cost, of which these were made `now`; a repeat of an earlier one was counted then, and
        a health check is none."""
        for name, usage in self.usages.items():
            rows = zip(requests, stored, strict=True)
            own = sum(usage.of.get(d.arm, 0.0) for r, d in rows if d.at == now and r.unit_id != CANARY)
            self.spent[name] = self.spent.get(name, 0.0) + own


ALL = slice(0, None)


class SpendingLeases:
    """The accounts of an app on this host, below `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._accounts: dict[str, HostAccount] = {}

    def of(
        self, requests: Sequence[Request], spends: Mapping[str, Usage], prices: Multipliers, day: str
    ) -> Iterator[Lease]:
        """Yields leases of all requests, in order; each is settled when the next is asked for, or nothing is."""
        begin, leases, stopped = 0, 0, list[str]()
        dearest = {name: _dearest(requests, usage.of) for name, usage in spends.items()}
        while begin < len(requests):
            going = {name: usage for name, usage in spends.items() if name not in stopped}
            reserved = self._reserved({name: dearest[name][begin:] for name in going}, going, prices, day)
            end = begin + min([n for n, _ in reserved.values()], default=len(requests) - begin)
            amounts = {name: sum(dearest[name][begin:end]) for name in going}
            lease = Lease(rows=slice(begin, end), stopped=tuple(stopped), usages=going)
            try:
                self._add({name: amounts[name] - reserved[name][1] for name in going})
                if end > begin:
                    yield lease
            finally:
                self._add({name: lease.spent.get(name, 0.0) - amounts[name] for name in going})
            leases += 1
            stopped += [name for name, (n, _) in reserved.items() if n == 0 or (leases >= MOST and begin + n == end)]
            begin = end

    def _reserved(
        self, dearest: Mapping[str, Sequence[float]], spends: Mapping[str, Usage], prices: Multipliers, day: str
    ) -> dict[str, tuple[int, float]]:
        """By spend, for how many of the next requests there is room, and what was reserved for them."""
        found = {}
        for name, costs in dearest.items():
            with self._account(name, day).open() as account:
                account.seen(prices.version)
                room = may_spend(spends[name].budget, name, account.now, prices, day)
                n, total = 0, 0.0
                while n < len(costs) and (not costs[n] or total + costs[n] <= room):
                    total += costs[n]
                    n += 1
                account.add(total)
            found[name] = n, total
        return found

    def _add(self, amounts: Mapping[str, float]) -> None:
        for name, amount in amounts.items():
            if not amount:
                continue
            with self._accounts[name].open() as account:
                account.add(amount)

    def _account(self, name: str, day: str) -> HostAccount:
        found = self._accounts.get(name)
        if found is None or found.day != day:
            found = self._accounts[name] = HostAccount(self._folder, name, day)
        return found


def _dearest(requests: Sequence[Request], cost: Mapping[str, float]) -> list[float]:
    """What the dearest candidate of each request costs; lists of arms are alike in many."""
    known: dict[tuple[str, ...], float] = {}
    found = []
    for request in requests:
        arms = tuple(request.arms)
        if arms not in known:
            known[arms] = max([cost.get(arm, 0.0) for arm in arms])
        found.append(known[arms])
    return found


def may_spend(budget: float, name: str, here: SpentHere, prices: Multipliers, day: str) -> float:
    """What this host may still spend of a budget on a day."""
    left = prices.left.get(name) if prices.day == day else None
    if prices.hosts == 1:
        logged = 0.0 if left is None else budget - left + here.spent - here.base  # more than here: the account was lost
        return budget * (1 + ROUNDING) - max(here.spent, logged)
    granted = budget / prices.hosts if left is None else here.base + max(left, 0.0) / prices.hosts
    return granted * (1 + ROUNDING) - here.spent
