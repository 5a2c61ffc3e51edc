"""What it takes to see a lift: the rows, and the days at this traffic, of each mode; the least lift that is seen.

All of it is foretold from one log: the spread of a row's lift by DR, and of the values that are bet on. Between looks a
mean walks like Brownian motion, so that a bet of λ, whose log-wealth has drift ν = λμ − λ²σ²/2 and spread λσ a row, has
reached b by row n with probability Φ((νn − b)/λσ√n) + exp(2νb/λ²σ²) Φ((−b − νn)/λσ√n) (inverse Gaussian; Wald 1947).
tests/models/gate/test_planning.py holds the rows that are named against logs of known truth.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import exp, inf, log, sqrt
from typing import Any, Self

import numpy as np
from scipy.optimize import brentq
from scipy.special import log_ndtr, ndtr

from croupier.models.gate.bounds import skewness
from croupier.models.gate.bounds.betting import PARTS, LiftBets
from croupier.models.gate.bounds.lift_bounds import BET, PLANNED
from croupier.models.gate.bounds.planned import boundaries, crossing
from croupier.models.ope.estimators import Moments
from croupier.models.ope.intervals import boundary

POWER = 0.8
LOOKS = 5  # of the planned mode, where app.toml does not plan
MOST = 1e10  # rows beyond which nobody waits
ALWAYS, ONCE = "always valid", "planned"


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What one log says of one candidate. sd: of a row's lift by DR, units counted; skew: of the same; bet_sd: of the
    values that are bet on, and stakes: the λs, none where no bets can be made; alpha: this look's and this
    candidate's error; value: what a decision of the champion earns; per_day: decisions a day; judged: the share of
    them that judges."""

    sd: float
    skew: float
    alpha: float
    bet_sd: float = inf
    stakes: tuple[float, ...] = ()
    value: float = 0.0
    per_day: float = 0.0
    judged: float = 1.0

    @classmethod
    def of(cls, moments: Moments, skew: float, bets: LiftBets | None, *, alpha: float, **traffic: float) -> Self:
        """From a lift's evidence."""
        spread = inf if bets is None else sqrt(bets.dispersion * float(np.square(bets.values).mean()))
        stakes = () if bets is None else tuple(map(float, bets.stakes))
        return cls(sd=sqrt(moments.variance), skew=skew, alpha=alpha, bet_sd=spread, stakes=stakes, **traffic)

    def days(self, rows: float) -> float:
        """Days of traffic until so many rows judge."""
        return rows / (self.per_day * self.judged) if self.per_day > 0 else inf


def power(mode: str, known: Known, gap: float, rows: float, *, looks: int = LOOKS) -> float:
    """The probability that a lift which lies `gap` above the margin is seen within so many rows."""
    if mode == ONCE:
        return _planned(known, gap, rows, looks)
    share = (1.0 - BET) * known.alpha if known.stakes else known.alpha
    seen = float(ndtr((gap / known.sd - boundary(rows, alpha=share)) * sqrt(rows)))
    return max([seen, *(_bet(known, gap, rows, part, stake) for part, stake in zip(PARTS, known.stakes, strict=False))])


def _planned(known: Known, gap: float, rows: float, looks: int) -> float:
    shares = tuple(k / looks for k in range(1, looks + 1))
    edges = boundaries(shares, PLANNED * known.alpha)
    last = skewness.corrected(rows, known.skew, edges[-1], lowered=True)
    early = [skewness.corrected(rows * t, known.skew, z, lowered=False) for t, z in zip(shares, edges, strict=True)]
    return crossing(shares, (*early[:-1], last), gap * sqrt(rows) / known.sd)


def _bet(known: Known, gap: float, rows: float, part: float, stake: float) -> float:
    edge = log(1.0 / (BET * known.alpha * part))
    drift, spread = stake * gap - (stake * known.bet_sd) ** 2 / 2.0, stake * known.bet_sd * sqrt(rows)
    if spread == 0.0:
        return 0.0  # nothing is at stake
    reflected = 2.0 * drift * edge / (stake * known.bet_sd) ** 2
    tail = exp(min(700.0, reflected + float(log_ndtr((-edge - drift * rows) / spread))))
    return min(1.0, float(ndtr((drift * rows - edge) / spread)) + tail)


def rows_for(mode: str, known: Known, gap: float, *, looks: int = LOOKS) -> float:
    """Rows in all at which such a lift is seen with probability POWER; infinite where no number does, and where values
    without spread tell nothing yet."""
    return inf if known.sd == 0.0 else _least(lambda rows: power(mode, known, gap, rows, looks=looks), 50.0, MOST)


def smallest(mode: str, known: Known, rows: float, *, looks: int = LOOKS) -> float:
    """The least lift above the margin, in reward per decision, that is seen within so many rows."""
    return (
        inf
        if known.sd == 0.0
        else _least(lambda gap: power(mode, known, gap, rows, looks=looks), 1e-6 * known.sd, 10.0 * known.sd)
    )


def _least(chance: Callable[[float], float], low: float, high: float) -> float:
    """Where a probability that rises reaches POWER, to a thousandth."""
    if chance(high) < POWER:
        return inf
    if chance(low) >= POWER:
        return low
    return float(np.exp(brentq(lambda x: chance(exp(x)) - POWER, log(low), log(high), xtol=1e-3)))


def plan(known: Known, *, gap: float, rows: float, looks: int = 0) -> list[dict[str, Any]]:
    """One dict a mode: rows and days for a lift of `gap` above the margin, and the least lift seen within `rows`."""
    table = []
    for mode in (ALWAYS, ONCE):
        needed, least = (
            rows_for(mode, known, gap, looks=looks or LOOKS),
            smallest(mode, known, rows, looks=looks or LOOKS),
        )
        table.append({
            "mode": mode, "looks": (looks or LOOKS) if mode == ONCE else None, "lift": gap, "rows": needed,
            "days": known.days(needed), "within_rows": rows, "within_days": known.days(rows), "smallest_lift": least,
            "smallest_share": least / abs(known.value) if known.value else inf,
        })  # fmt: skip
    return table
