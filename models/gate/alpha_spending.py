"""The ledger of looks: one error for the whole history of a family of candidates, spent look by look, and recorded.

Looking again at the *same* candidate on the *same*, grown log costs nothing: a confidence sequence holds at every
row. A retrained candidate, or a log that starts elsewhere, is a new hypothesis: the k-th one gets α · 6 / (π² k²), and
all of them together no more than α. Without a ledger, a daily retrained null candidate is promoted sooner or later.

The error is taken *before* the evaluation (`reserve`) and the decision is written beside it afterwards (`decided`): of
two judges that begin at once, the second finds the first one's look, and takes the next part.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from math import pi
from typing import Any, Self


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """`candidates`: digests of what was judged; `start`: first row's time, UTC µs; `decisions`: verdict by name."""

    at: int
    candidates: tuple[str, ...]
    start: int
    rows: int
    alpha: float
    decisions: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """All looks of one family: an app's candidates against the champion of this name, whatever its release's number. A
    roll-back, or a release that only lists other arms, does not give the error back."""

    family: str
    alpha: float
    looks: tuple[Look, ...] = ()

    def next_alpha(self, candidates: Sequence[str], start: int) -> float:
        """The error this look may spend; a hypothesis seen before keeps what it was given."""
        for look in self.looks:
            if (look.candidates, look.start) == (tuple(sorted(candidates)), start):
                return look.alpha
        k = 1 + len({(look.candidates, look.start) for look in self.looks})
        return self.alpha * 6.0 / (pi * k) ** 2

    def reserve(self, *, at: int, candidates: Sequence[str], start: int, rows: int) -> Self:
        """The ledger with the error of a look under way taken; the same if this very look is in it, so that a task may
        run again. Looks that end on earlier rows than the last one count from then on, too."""
        if self._place(candidates, start, rows) is not None:
            return self
        last = max([at, *(look.at for look in self.looks)])
        return self.record(at=last, candidates=candidates, start=start, rows=rows, decisions={})

    def decided(self, *, candidates: Sequence[str], start: int, rows: int, decisions: dict[str, str]) -> Self:
        """The ledger with what a look that was reserved has decided. Raises KeyError where it was not."""
        place = self._place(candidates, start, rows)
        if place is None:
            raise KeyError(f"look at {', '.join(candidates)}, {rows} rows: found no reservation; reserve it first")
        looks = (*self.looks[:place], replace(self.looks[place], decisions=decisions), *self.looks[place + 1 :])
        return replace(self, looks=looks)

    def rows_of(self, candidates: Sequence[str], start: int) -> tuple[int, ...]:
        """The numbers of rows at which this hypothesis was looked at, in order."""
        same = (tuple(sorted(candidates)), start)
        return tuple(sorted({look.rows for look in self.looks if (look.candidates, look.start) == same}))

    def _place(self, candidates: Sequence[str], start: int, rows: int) -> int | None:
        same = (tuple(sorted(candidates)), start, rows)
        found = [i for i, look in enumerate(self.looks) if (look.candidates, look.start, look.rows) == same]
        return found[0] if found else None

    def record(self, *, at: int, candidates: Sequence[str], start: int, rows: int, decisions: dict[str, str]) -> Self:
        """The ledger with this look in it. Looks come in order of time."""
        if self.looks and at < self.looks[-1].at:
            raise ValueError(f"at: found {at}, before the last look at {self.looks[-1].at}; record in order")
        look = Look(
            at=at,
            candidates=tuple(sorted(candidates)),
            start=start,
            rows=rows,
            alpha=self.next_alpha(candidates, start),
            decisions=decisions,
        )
        return type(self)(family=self.family, alpha=self.alpha, looks=(*self.looks, look))

    @property
    def spent(self) -> float:
        """Error given out so far: each hypothesis counts once."""
        return sum({(look.candidates, look.start): look.alpha for look in self.looks}.values())

    def to_json(self) -> str:
        """The ledger as JSON."""
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Restores a ledger from JSON."""
        body: dict[str, Any] = json.loads(text)
        looks = tuple(Look(**(look | {"candidates": tuple(look["candidates"])})) for look in body["looks"])
        return cls(family=body["family"], alpha=body["alpha"], looks=looks)
