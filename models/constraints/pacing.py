"""Who moves the prices of long-run means: a controller that compares the matured log with the limits; and a day's plan.

Dual descent (Agrawal & Devanur 2014; Balseiro, Lu & Mirrokni 2020, algorithm 1 with the Euclidean mirror map; for the
problem Badanidiyuru, Kleinberg & Slivkins 2013, "Bandits with knapsacks"): λ ← max(0, λ + step · (usage − limit)), once
an hour, over the decisions that matured. Here it is also

    bounded            0 ≤ λ ≤ `most`, and a move is at most `largest_move`, whatever an hour says
    monotone           more used in any matured hour never lowers the price, all else equal
    deaf to silence    an hour that has not matured moves nothing, and never counts as one in which nothing was spent

A budget of a day differs from a long-run mean in that its limit is of today: its price is solved anew at each look, for
what is left of the day's plan (day_price.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from croupier.features.batch import F64

HOURS = 24


@dataclass(frozen=True, kw_only=True)
class Controller:
    """`step` is λ's move for decisions of an expected hour that are over their limit by 1 (of what `move` is told);
    `most` the highest price; `largest_move` the most in one move, in units of the price, as the others are.

    Raises ValueError for one that is not above 0."""

    step: float
    most: float
    largest_move: float

    def __post_init__(self) -> None:
        for name in ("step", "most", "largest_move"):
            if not 0 < getattr(self, name) < np.inf:
                raise ValueError(f"{name}: found {getattr(self, name)}, expected a finite number above 0")

    def move(self, price: float, excess: float | None) -> float:
        """The next price. `excess` is usage above the limit (below: negative), None where nothing matured, which leaves
        the price as it is. Raises ValueError for NaN: that is no excess, and not silence either."""
        if excess is None:
            return min(max(price, 0.0), self.most)
        if np.isnan(excess):
            raise ValueError("excess: found NaN, expected a number, or None for an hour that has not matured")
        moved = price + float(np.clip(self.step * excess, -self.largest_move, self.largest_move))
        return min(max(moved, 0.0), self.most)


@dataclass(frozen=True, kw_only=True, eq=False)
class DayPlan:
    """A day's `budget`, and `requests` (24,) expected in each of its hours.

    Raises ValueError for a budget that is not above 0, and for requests that are not 24 finite numbers above 0."""

    budget: float
    requests: F64

    def __post_init__(self) -> None:
        if not 0 < self.budget < np.inf:
            raise ValueError(f"budget: found {self.budget}, expected a finite number above 0")
        if self.requests.shape != (HOURS,) or not np.isfinite(self.requests).all() or (self.requests <= 0).any():
            raise ValueError(f"requests: found {self.requests}, expected {HOURS} finite numbers above 0, one an hour")

    @classmethod
    def of_days(cls, budget: float, days: Sequence[F64]) -> Self:
        """The plan from past days' requests (24,) each, NaN where an hour is missing: the median of each hour, which
        one strange day does not move; an hour of none counts as half a request. Raises ValueError for an hour that no
        day has."""
        past = np.array(days, dtype=np.float64).reshape(-1, HOURS)
        missing = np.flatnonzero(~np.isfinite(past).any(axis=0))
        if missing.size:
            raise ValueError(f"requests: found no past day with hour {missing[0]}, expected each hour in one at least")
        return cls(budget=budget, requests=np.maximum(np.nanmedian(past, axis=0), 0.5))
