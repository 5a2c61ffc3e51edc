"""What it takes to see a lift: the rows, and the days at this traffic, of each mode; the least lift that is seen.

All of it is foretold from one log: the spread of a row's lift by DR, and the spread σ and skewness γ of the values X
that are bet on. Less the lift μ these are taken for x₁, x₀ = σ (γ ± √(γ² + 4))/2: the law of two values that has this
spread and skewness, as rare events have it. After n rows whose X − μ sum to S the log-wealth of a bet of λ is then

    S (l₁ − l₀)/(x₁ − x₀) + n (x₁l₀ − x₀l₁)/(x₁ − x₀) + nλμ,   l = log(1 + λx)

and S walks like Brownian motion. The S with which all bets together have won 1/α is a boundary, asked at STEPS numbers
of rows; the chance that the walk crosses it is integrated as for planned looks (Armitage, McPherson & Rowe 1969). Asked
at every row a walk crosses sooner, as if the boundary were lower by BETWEEN, and its last step goes a third of x₁
beyond it (Siegmund 1985, §10.2).
tests/models/gate/test_planning.py holds the rows that are named against logs of known truth.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import exp, inf, log, sqrt
from typing import Any, Self

import numpy as np
from scipy.special import ndtr, ndtri

from croupier.features.batch import F64
from croupier.models.gate.bounds import skewness
from croupier.models.gate.bounds.betting import BURN_IN, CAP, PARTS, LiftBets
from croupier.models.gate.bounds.lift_bounds import BET, nominal
from croupier.models.gate.bounds.planned import boundaries, crossing
from croupier.models.ope.estimators import Moments
from croupier.models.ope.intervals import boundary

POWER = 0.8
LOOKS = 5  # of the planned mode, where app.toml does not plan
MOST = 1e10  # rows beyond which nobody waits
STEPS = 16  # of the rows, at which bets are asked
COARSE = 32  # pairs of points of each step: a chance to 1e-3
BETWEEN = 0.5826  # standard deviations of a step, −ζ(½)/√2π, that a walk reaches farther between two of them
NEWTON = 60  # steps at most to a boundary: five or six are usual
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
    won = min(1.0, _bets(known, gap, rows))  # integrated, it may be above by 1e-6
    return _either(seen, won, _alike(known, rows)) if won > 0.0 else seen


def _alike(known: Known, rows: float) -> float:
    """How the estimate by DR and the bets correlate: bets leave out the first rows, and the reward model."""
    spread = min(known.sd, known.bet_sd) / max(known.sd, known.bet_sd)
    return spread * sqrt(1.0 - BURN_IN / rows)


def _either(first: float, second: float, alike: float) -> float:
    """The probability of at least one of two events that normal variables of this correlation decide."""
    if not 0.0 < first < 1.0:
        return max(first, second)
    missed = ndtri((1.0 - first) * (np.arange(COARSE) + 0.5) / COARSE)  # the first variable, where it falls short
    also = ndtr((ndtri(1.0 - second) - alike * missed) / sqrt(1.0 - alike * alike))
    return 1.0 - (1.0 - first) * float(also.mean())


def _planned(known: Known, gap: float, rows: float, looks: int) -> float:
    shares = tuple(k / looks for k in range(1, looks + 1))
    edges = boundaries(shares, nominal(known.alpha))
    last = skewness.corrected(rows, known.skew, edges[-1], lowered=True)
    early = [skewness.corrected(rows * t, known.skew, z, lowered=False) for t, z in zip(shares, edges, strict=True)]
    return crossing(shares, (*early[:-1], last), gap * sqrt(rows) / known.sd)


def _bets(known: Known, gap: float, rows: float) -> float:
    """The probability that all bets together have reached their wealth by then."""
    sd, stakes, bet_on = known.bet_sd, np.array(known.stakes), rows - BURN_IN
    if not 0.0 < sd < inf or not (stakes > 0.0).all() or bet_on <= 0:
        return 0.0  # nothing is at stake
    high, low = (sd * (known.skew + sign * sqrt(known.skew**2 + 4.0)) / 2.0 for sign in (1.0, -1.0))
    won, lost = (np.log(np.maximum(1.0 + stakes * x, 1.0 - CAP)) for x in (high, low))
    slopes, growth = (won - lost) / (high - low), (high * lost - low * won) / (high - low)
    n = bet_on * np.arange(1, STEPS + 1) / STEPS
    logs = np.log(PARTS[: len(stakes)]) + n[:, None] * (growth + stakes * gap)
    sums = _sums_that_take(log(1.0 / (BET * known.alpha)), logs, slopes)
    edges = (sums + high / 3.0) / (sd * np.sqrt(n)) - BETWEEN / np.sqrt(np.arange(1, STEPS + 1))
    return crossing(n / bet_on, edges, 0.0, grid=COARSE)


def _sums_that_take(edge: float, logs: F64, stakes: F64) -> F64:
    """Returns (m,) the S at which log Σ exp(logs + stakes · S) is `edge`, of logs (m, k) and positive stakes (k,).

    The sum is convex and rises: Newton's steps from above fall to it, from where any one bet alone is enough."""
    s = ((edge - logs) / stakes).min(axis=1)
    for _ in range(NEWTON):
        parts = logs + stakes * s[:, None]
        most = parts.max(axis=1, keepdims=True)
        weight = np.exp(parts - most)
        total = weight.sum(axis=1)
        step = (most[:, 0] + np.log(total) - edge) * total / (weight @ stakes)
        s = s - step
        if np.abs(step * stakes.min()).max() < 1e-9:
            break
    return np.asarray(s)


def rows_for(mode: str, known: Known, gap: float, *, looks: int = LOOKS) -> float:
    """Rows in all at which such a lift is seen with probability POWER; infinite where no number does, and where values
    without spread, or too few for one, tell nothing yet."""
    if not 0.0 < known.sd < inf:
        return inf
    return _least(lambda rows: power(mode, known, gap, rows, looks=looks), 50.0, MOST)


def smallest(mode: str, known: Known, rows: float, *, looks: int = LOOKS) -> float:
    """The least lift above the margin, in reward per decision, that is seen within so many rows; infinite as above."""
    if not 0.0 < known.sd < inf:
        return inf
    return _least(lambda gap: power(mode, known, gap, rows, looks=looks), 1e-6 * known.sd, 10.0 * known.sd)


def _least(chance: Callable[[float], float], low: float, high: float) -> float:
    """Where a probability that rises reaches POWER, to a thousandth."""
    from scipy.optimize import brentq  # takes 0.3 s, which every task and command would pay

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
