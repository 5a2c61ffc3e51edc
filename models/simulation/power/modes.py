"""When a log is promoted in each of the gate's modes, found fast: by running sums where the bound could hold at all.

The bounds of every look come from sums that add; the gate's own `judge` then decides at the looks whose bound lies
above the margin, conditions and all. tests/models/simulation/power/ holds that against `judge` at every look.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from croupier.features.batch import F64
from croupier.features.spec import GateSpec
from croupier.models.gate.bounds import skewness, steadied
from croupier.models.gate.bounds.betting import BURN_IN, LiftBets
from croupier.models.gate.bounds.lift_bounds import BET, nominal
from croupier.models.gate.bounds.planned import LookSchedule
from croupier.models.gate.gate import PROMOTE, Verdict, judge
from croupier.models.gate.planning import Known
from croupier.models.ope.estimators import dr
from croupier.models.ope.intervals import boundary
from croupier.models.simulation.gate_simulation import DrawnLog
from croupier.models.simulation.power.tables import DrawnTable

ALPHA = GateSpec().alpha
LOOKS = 20  # at which conditions and the sequence are asked; bets are asked at every row
PLANNED_LOOKS = 5
SIZE = GateSpec().min_ess * (1.0 - 1e-9)
LIFTED = ("lift_lower", "lift_lower_with_unseen_rewards")


@dataclass(frozen=True, kw_only=True, eq=False)
class Looked:
    """A log's lift after each of `at` rows, (m,) each: n, mean, steadied standard error, skewness of one value; and
    the least effective size of the weights."""

    n: F64
    mean: F64
    error: F64
    skew: F64
    size: F64

    @classmethod
    def of(cls, log: DrawnLog, at: Sequence[int]) -> "Looked":
        """From sums over the stretches between looks."""
        starts, x, r = [0, *at[:-1]], dr(log.candidate) - dr(log.champion), log.candidate.reward
        centre, middle = float(x.mean()), float(r.mean())  # sums of powers about it lose no digits
        x, r = x - centre, r - middle
        square, away = x * x, r * r
        columns = np.column_stack([x, square, square * x, square * square, r, away, away * r])
        table = np.cumsum(np.add.reduceat(columns, starts, axis=0), axis=0)
        spread = np.cumsum(np.add.reduceat(log.divergence, starts, axis=0), axis=0)
        n = np.asarray(at, np.float64)
        second, fourth, third = spread.T / n
        _, m2, m3, m4 = _central(table[:, :4].T / n)
        _, v2, v3, _ = _central(np.vstack([table[:, 4:].T / n, np.zeros(len(n))]))
        carried = np.minimum(n * m2 * m2 / np.maximum(m4, 1e-300), n * second * second / np.maximum(fourth, 1e-300))
        prior = steadied.PRIOR_ROWS
        variance = (carried * m2 * n / (n - 1) + prior * second * v2) / (carried + prior)
        shrunk = (carried * m3 + skewness.PRIOR_ROWS * third * v3) / (carried + skewness.PRIOR_ROWS)
        skew = shrunk / np.maximum(variance, 1e-150) ** 1.5
        size = _sizes(log, starts)
        return cls(n=n, mean=centre + table[:, 0] / n, error=np.sqrt(variance / n), skew=skew, size=size)


def _sizes(log: DrawnLog, starts: Sequence[int]) -> F64:
    w1, w0 = log.candidate.weight, log.champion.weight
    gap = np.abs(w1 - w0)
    columns = np.column_stack([w1, w0, gap, w1 * w1, w0 * w0, gap * gap])
    table = np.cumsum(np.add.reduceat(columns, starts, axis=0), axis=0)
    return np.asarray((table[:, :3] ** 2 / np.maximum(table[:, 3:], 1e-300)).min(axis=1))


def _central(raw: F64) -> tuple[F64, F64, F64, F64]:
    """(mean, second, third, fourth central moment) of raw moments (4, m)."""
    a, b, c, d = raw
    return a, b - a * a, c - 3 * a * b + 2 * a**3, d - 4 * a * c + 6 * a * a * b - 3 * a**4


@dataclass(kw_only=True, eq=False)
class Log:
    """One drawn log, to be decided by several modes."""

    drawn: DrawnTable
    rows: int

    @cached_property
    def at(self) -> list[int]:
        """The rows of the looks."""
        return [self.rows * k // LOOKS for k in range(1, LOOKS + 1)]

    @cached_property
    def looked(self) -> Looked:
        """The sums at them."""
        return Looked.of(self._whole, self.at)

    @cached_property
    def wealth(self) -> F64:
        """Log-wealth of the bets against no lift after every row, from the first that is bet on."""
        whole, tables = self._whole, self.drawn.tables
        reach, sides = tables.reach[self.drawn.context], (whole.candidate, whole.champion)
        bets = LiftBets.of(*sides, reach=reach, spread=whole.divergence, declared=tables.declared)
        count = self.rows - BURN_IN
        return np.full(count, -np.inf) if bets is None else bets.log_wealth(0.0, range(1, count + 1))

    def known(self, alpha: float = ALPHA) -> Known:
        """What a plan would be made from after this log."""
        found = self._whole.evidence(self.rows)
        return Known.of(found.lift, found.skew, found.bets, alpha=alpha)

    def one_look(self, alpha: float = ALPHA) -> bool:
        """The always-valid bound, asked once, at the end."""
        return self._holds(len(self.at) - 1, float(self.wealth[-1]), alpha)

    def every_row(self, alpha: float = ALPHA) -> bool:
        """The always-valid bound, asked after every row."""
        starts = [max(0, n - BURN_IN) for n in (0, *self.at[:-1])]
        best = np.maximum.reduceat(self.wealth, starts)
        return any(self._holds(j, float(wealth), alpha) for j, wealth in enumerate(best))

    def planned(self, alpha: float = ALPHA, looks: int = PLANNED_LOOKS) -> bool:
        """Planned looks, evenly over all rows."""
        taken: tuple[int, ...] = ()
        for n in (self.rows * k // looks for k in range(1, looks + 1)):
            schedule = LookSchedule(looks=looks, horizon=self.rows, taken=taken, rows=n)
            if self._above(n, schedule, alpha) and self._judged(n, alpha, schedule).decision == PROMOTE:
                return True
            taken = (*taken, n)
        return False

    def _above(self, n: int, schedule: LookSchedule, alpha: float) -> bool:
        seen, j = self.looked, self.at.index(n)
        z, last = schedule.boundary(nominal(alpha)), n >= schedule.horizon
        z = skewness.corrected(float(n), float(seen.skew[j]), z, lowered=last)
        return bool(seen.mean[j] > z * seen.error[j] and seen.size[j] >= SIZE)

    def _holds(self, j: int, wealth: float, alpha: float) -> bool:
        """Whether the gate promotes at look j, up to which the bets have had this wealth since the look before."""
        seen, share = self.looked, (1.0 - BET) * alpha
        width = boundary(seen.n[j], alpha=share) * np.sqrt(seen.n[j])
        bet = wealth >= np.log(1.0 / (BET * alpha))
        if seen.size[j] < SIZE or (not bet and not seen.mean[j] > width * seen.error[j]):
            return False
        verdict = self._judged(self.at[j], share)
        return verdict.decision == PROMOTE or (bet and not set(verdict.failed) - set(LIFTED))

    def _judged(self, n: int, alpha: float, schedule: LookSchedule | None = None) -> Verdict:
        """The gate's own verdict after n rows, without bets."""
        return judge(self._without_bets.evidence(n, schedule), GateSpec(), alpha=alpha)

    @cached_property
    def _whole(self) -> DrawnLog:
        return self.drawn.whole()

    @cached_property
    def _without_bets(self) -> DrawnLog:
        return replace(self._whole, reach=None)


MODES: dict[str, Callable[[Log, float], bool]] = {
    "one look": Log.one_look,
    "every row": Log.every_row,
    "planned": Log.planned,
}
