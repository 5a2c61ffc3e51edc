"""The two ends of a lift, by the mode that app.toml declares; every rule here is fixed before a log is seen.

always valid   the better of a confidence sequence of the DR lift, at (1 − BET) · α, and of bets, at BET · α, where
               bets can be made (declared rewards, the log's whole pmf); else the sequence at α
planned        at a planned look DR's lift, corrected for skewness, lies above O'Brien & Fleming's boundary at
               `nominal` of α; between looks nothing is decided

Two bounds that err with probability a and b err together with at most a + b. BET is what gave the most power on clicks;
`nominal` is what holds every null cell of models/GATE.md to its α.
"""

from dataclasses import dataclass
from math import inf

from croupier.models.gate.bounds import skewness
from croupier.models.gate.bounds.betting import LiftBets
from croupier.models.gate.bounds.planned import LookSchedule
from croupier.models.ope.estimators import Moments
from croupier.models.ope.intervals import Bounds, asymptotic_cs

BET = 0.8
PLANNED, USUAL, TAIL = 0.7, 0.05, 0.18
SEQUENCE, BETS, PLAN = "confidence sequence", "bets", "planned look"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lift:
    """What is known of a paired lift: its moments by DR, skew γ of one value, bets on it where they can be made."""

    moments: Moments
    skew: float = 0.0
    bets: LiftBets | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ends:
    """bounds of the lift; by: which bound the lower end is; even_if: the lower end where declared rewards that have
    hardly come fall on the candidate (bets know of them, a normal limit does not)."""

    bounds: Bounds
    by: str
    even_if: float


def nominal(alpha: float) -> float:
    """The error that boundaries of planned looks are asked for, so that what they make is at most alpha: a normal limit
    errs most in its tail, so it is PLANNED of the usual α and a lesser part of a smaller one."""
    return PLANNED * alpha * float(min(1.0, alpha / USUAL) ** TAIL)


def ends(lift: Lift, *, alpha: float, shift: float = 0.0, schedule: LookSchedule | None = None) -> Ends:
    """`shift`: by how much declared rewards that have hardly come could lower the lift (gate/unseen.py)."""
    if schedule is not None and schedule.due:
        z = schedule.boundary(nominal(alpha))
        last = schedule.rows >= schedule.horizon
        low, high = (end(lift.moments, lift.skew, z, lowered=last) for end in (skewness.lower, skewness.upper))
        return Ends(bounds=Bounds(low, high), by=PLAN, even_if=low - shift)
    if schedule is not None:
        return Ends(bounds=asymptotic_cs(lift.moments, alpha=alpha), by=SEQUENCE, even_if=-inf)
    bet = lift.bets.lower(BET * alpha) if lift.bets is not None else -inf
    sequence = asymptotic_cs(lift.moments, alpha=alpha if lift.bets is None else (1.0 - BET) * alpha)
    upper = asymptotic_cs(lift.moments, alpha=alpha).upper
    best = max(sequence.lower, bet)
    even_if = max(sequence.lower - shift, bet)
    return Ends(bounds=Bounds(best, upper), by=BETS if bet > sequence.lower else SEQUENCE, even_if=even_if)
