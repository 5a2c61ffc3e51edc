"""Looks on schedule: a declared number of rows, a declared number of looks, and a bound that knows both.

Who promises to look only then pays less than for looking at every row: at five looks 1.7 standard errors in place of
2.9. The error is spent by O'Brien & Fleming's rule in Lan & DeMets's form (1983), α(t) = 2 Φ̄(z_{α/2} / √t), t the share
of the horizon's rows that are in: next to nothing at first, nearly all at the end, and the sum is α wherever the looks
really fell. Each look's boundary follows from those before by integration over what did not cross them (Armitage,
McPherson & Rowe 1969). A look that comes late, at more rows than were planned for it, is a look at those rows; past the
horizon there is one more look, the last.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from math import ceil, floor, inf, pi, sqrt
from typing import Self

import numpy as np
from scipy.special import ndtr, ndtri

from croupier.features.batch import F64

GRID = 64  # pairs of points: boundaries and chances to 1e-6
FAR = 8.0  # standard deviations beyond which nothing is


@dataclass(frozen=True, slots=True, kw_only=True)
class LookSchedule:
    """`looks` evenly spaced over `horizon` rows; `taken`: the rows at which this hypothesis was looked at as planned,
    rising; `rows` at which it is judged now."""

    looks: int
    horizon: int
    taken: tuple[int, ...]
    rows: int

    @classmethod
    def of(cls, looks: int, horizon: int, seen: Iterable[int], rows: int) -> Self:
        """From all numbers of rows at which something was judged before: those that fell on no planned look, since a
        task runs when it will, decided nothing and cost nothing."""
        now = cls(looks=looks, horizon=horizon, taken=(), rows=0)
        for n in sorted({n for n in seen if n < rows}):
            now = replace(now, rows=n)
            now = replace(now, taken=(*now.taken, n)) if now.due else now
        return replace(now, rows=rows)

    @property
    def next_look(self) -> int | None:
        """The rows at which the next look falls; None after the horizon."""
        last = self.taken[-1] if self.taken else 0
        if last >= self.horizon:
            return None
        step = self.horizon / self.looks
        return min(self.horizon, ceil(step * (floor(last / step + 1e-9) + 1) - 1e-9))

    @property
    def due(self) -> bool:
        """Whether what is judged now is a planned look: the first at its number of rows, or past it."""
        return self.next_look is not None and self.rows >= self.next_look

    def boundary(self, alpha: float) -> float:
        """How many standard errors above the margin a lift must lie now."""
        return boundaries(tuple(min(1.0, n / self.horizon) for n in (*self.taken, self.rows)), alpha)[-1]


def spent(share: float, alpha: float) -> float:
    """The error that may be spent until this share of the horizon."""
    return float(2.0 * ndtr(ndtri(alpha / 2.0) / sqrt(share)))


@lru_cache(maxsize=512)
def boundaries(shares: tuple[float, ...], alpha: float) -> tuple[float, ...]:
    """One-sided boundaries, in standard errors, of looks at these rising shares of the horizon."""
    if not shares or min(shares) <= 0.0 or max(shares) > 1.0 or any(np.diff(shares) <= 0):
        raise ValueError(f"looks: found shares {shares} of the horizon, expected rising ones above 0, up to 1")
    found: list[float] = []
    at, mass, before, gone = np.zeros(1), np.ones(1), 0.0, 0.0
    for share in shares:
        step, due = sqrt(share - before), spent(share, alpha)
        edge = _edge(at, mass, step, due - gone, sqrt(share))
        found.append(edge)
        at, mass = _survivors(at, mass, step, edge * sqrt(share), 0.0)
        before, gone = share, due
    return tuple(found)


def _edge(at: F64, mass: F64, step: float, error: float, scale: float) -> float:
    """z such that just `error` of the mass at `at` lies beyond z · scale after a step of this standard deviation."""
    from scipy.optimize import brentq  # takes 0.3 s, which every task and command would pay

    if error < 1e-15:
        return inf

    def beyond(z: float) -> float:
        return float(mass @ ndtr((at - z * scale) / step)) - error

    return float(brentq(beyond, -FAR, 2 * FAR, xtol=1e-9))


def _survivors(at: F64, mass: F64, step: float, edge: float, middle: float, *, points: int = GRID) -> tuple[F64, F64]:
    """What has not crossed, as masses on a grid about `middle` (Simpson's rule); no share of a horizon varies more than
    the whole."""
    top = min(edge, middle + FAR)
    grid = np.linspace(min(middle, top) - FAR, top, 2 * points + 1)
    weight = np.ones(len(grid))
    weight[1:-1:2], weight[2:-1:2] = 4.0, 2.0
    weight *= (grid[1] - grid[0]) / 3.0
    density = np.exp(-0.5 * np.square((grid[:, None] - at) / step)) @ mass
    return grid, density * weight / (step * sqrt(2.0 * pi))


def crossing(shares: Iterable[float], edges: Iterable[float], drift: float, *, grid: int = GRID) -> float:
    """The probability that a lift of `drift` standard errors at the horizon lies above one of these `edges`, in
    standard errors, at its share of the horizon; `grid`: pairs of points to integrate on."""
    at, mass, before, crossed = np.zeros(1), np.ones(1), 0.0, 0.0
    for share, z in zip(shares, edges, strict=True):
        step, mean = sqrt(share - before), drift * (share - before)
        edge = min(z, 2 * FAR) * sqrt(share)
        crossed += float(mass @ ndtr((at + mean - edge) / step))
        at, mass = _survivors(at + mean, mass, step, edge, drift * share, points=grid)
        before = share
    return crossed
