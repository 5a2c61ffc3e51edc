"""What has been spent of the gate's error, kept in the store: taken by compare-and-swap before anything is judged."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from croupier.features.spec import GateSpec
from croupier.features.store import layout
from croupier.features.store.storage import Conflict, Store
from croupier.models.gate.alpha_spending import Ledger
from croupier.models.gate.bounds.planned import LookSchedule


@dataclass(frozen=True, kw_only=True)
class SpentLook:
    """One look: digests of what is judged, the time (UTC µs) of its first and last row, and how many rows there are."""

    candidates: Sequence[str]
    start: int
    last: int
    rows: int


@dataclass(frozen=True)
class Spending:
    """The ledger of looks at the challengers of one champion. `champion` may bear its release's number: the family is
    the name before it, so that neither a roll-back nor another release of the same champion begins anew."""

    store: Store
    champion: str
    gate: GateSpec

    @property
    def family(self) -> str:
        """The champion's name without its release's number."""
        return self.champion.partition("@")[0]

    def reserve(self, look: SpentLook) -> tuple[float, LookSchedule | None]:
        """This look's part of the error, which is spent from now on; and, where looks are planned, when they were."""
        ledger = self._changed(
            lambda old: old.reserve(at=look.last, candidates=look.candidates, start=look.start, rows=look.rows)
        )
        alpha = ledger.next_alpha(look.candidates, look.start)
        return alpha, schedule(self.gate, ledger.rows_of(look.candidates, look.start), look.rows)

    def decided(self, look: SpentLook, decisions: dict[str, str]) -> None:
        """Writes down what the look has decided."""
        self._changed(
            lambda old: old.decided(candidates=look.candidates, start=look.start, rows=look.rows, decisions=decisions)
        )

    def planned(self, look: SpentLook) -> LookSchedule | None:
        """Returns the plan of a family whose whole process has the error `[gate] alpha` (models/ope/prequential.py):
        when its looks were planned, kept by the process's beginning. None in the always-valid mode."""
        if not self.gate.looks:
            return None
        process = replace(self, champion=f"{self.family}-since-{look.start}")
        ledger = process._changed(
            lambda old: old.reserve(at=look.last, candidates=look.candidates, start=look.start, rows=look.rows)
        )
        return schedule(self.gate, ledger.rows_of(look.candidates, look.start), look.rows)

    def _changed(self, change: Callable[[Ledger], Ledger]) -> Ledger:
        key = layout.looks(self.family)
        while True:
            raw, version = self.store.read(key)
            old = self._before() if version is None else Ledger.from_json(raw.decode())
            new = change(old)
            if new is old or new == old:
                return old
            with suppress(Conflict):  # another judge was quicker: what it took is taken
                self.store.swap(key, new.to_json().encode(), version)
                return new

    def _before(self) -> Ledger:
        """A new ledger, with the looks of ledgers that were kept by release until November 2026."""
        new = Ledger(family=self.family, alpha=self.gate.alpha)
        older = self.store.list(layout.looks_at_releases(self.family))
        looks = [look for key in older for look in Ledger.from_json(self.store.get(key).decode()).looks]
        return replace(new, looks=tuple(sorted(looks, key=lambda look: look.at)))


def schedule(gate: GateSpec, seen: Sequence[int], rows: int) -> LookSchedule | None:
    """The plan of `[gate] looks` as it stands at `rows`; None in the always-valid mode."""
    return LookSchedule.of(gate.looks, gate.horizon, seen, rows) if gate.looks else None
