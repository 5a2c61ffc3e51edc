"""With what share of the policy each request is decided beside a declared baseline: within what this host was granted.

    requests ─▶ reserve (s − α) for each, for as many as the grant has room for ─▶ decide ─▶ give back what was not used
                                                          └── the others: share α, which is free

The account is one for all processes of the host, and of one promise from its beginning on. What a process that is
killed had reserved stays counted, and so does what it had when the log failed: less is explored, never more.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from croupier.features.batch import F64, Batch
from croupier.features.schema import Decision
from croupier.models.constraints.allowance import Allowance
from croupier.serving.contract.requests import CANARY, Request
from croupier.serving.spending.host_account import HostAccount


@dataclass(kw_only=True, eq=False)
class ExploringLease:
    """The share of the policy in each of some requests, `shares` (B,), None where there is no baseline; `used` is what
    their decisions cost above α, each `cost` or nothing, once they are on record."""

    shares: F64 | None = None
    cost: F64 = field(default_factory=lambda: np.zeros(0))
    used: float = 0.0

    def on(self, batch: Batch) -> Batch:
        """The batch as it is decided."""
        return batch if self.shares is None else replace(batch, share=self.shares)

    def count(self, requests: Sequence[Request], stored: Sequence[Decision], now: int) -> None:
        """Counts the decisions that were made `now`; a repeat of an earlier one was counted then, and a health check is
        none."""
        if self.shares is None:
            return
        rows = zip(requests, stored, self.cost.tolist(), strict=False)
        self.used = sum(cost for r, d, cost in rows if d.at == now and r.unit_id != CANARY)


class ExploringLeases:
    """The accounts of an app on this host, below `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._account: tuple[str, HostAccount] | None = None

    @contextmanager
    def of(
        self, requests: Sequence[Request], alpha: float, allowance: Allowance | None, host: str
    ) -> Iterator[ExploringLease]:
        """The lease of these requests on the `host`, whose log has this id; what was not used is given back after."""
        shares = np.full(len(requests), alpha)
        granted = allowance.grants.get(host, 0.0) if allowance else 0.0
        if allowance is None or allowance.share <= alpha or not granted:
            yield ExploringLease(shares=shares)
            return
        account, each = self._of(host, allowance.promise), allowance.share - alpha
        with account.open() as opened:
            n = min(len(requests), room(granted, opened.now.spent, each))
            opened.add(n * each)
        shares[:n] = allowance.share
        lease = ExploringLease(shares=shares, cost=np.where(np.arange(len(requests)) < n, each, 0.0))
        yield lease
        if lease.used < n * each:
            with account.open() as opened:
                opened.add(lease.used - n * each)

    def _of(self, host: str, promise: str) -> HostAccount:
        if self._account is None or self._account[0] != f"{host} {promise}":
            self._account = f"{host} {promise}", HostAccount(self._folder, f"conservative {host}", promise)
        return self._account[1]


def room(granted: float, used: float, each: float) -> int:
    """For how many decisions that cost `each` there is room."""
    return max(int((granted - used) / each), 0)
