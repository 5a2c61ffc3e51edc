"""Whole seasons: what is shown of them is the mean over a season, whatever the hours are like.

A candidate that is better by day and worse by night is "better" at many a look, and no better over a day. So a stage is
decided on whole seasons (`[rollout] season`, a day), counted from when it began. Within a season the roles are compared
hour by hour: with p the candidate's share of an hour's decisions and ȳ their mean,

    ξ = w (A − p)(y − ȳ),  w = s(1 − s) / p(1 − p),  sums to  n · s(1 − s) · (ȳ₁ − ȳ₀)  over an hour of n decisions.

Hours weigh as their traffic, and a candidate whose units come more often when everybody clicks is no better for it.
Where the mean over a season is δ or less, E ∏(1 + g(ξ − s(1 − s)δ)) ≤ exp(g Σ E(ξ − s(1 − s)δ)) ≤ 1 for a bet g that
stays the same all season: at the ends of seasons the bets of betting.py are what they are, however hours differ.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from croupier.features.batch import F64, I64, Bool
from croupier.features.schema import share_of
from croupier.models.ope.estimators import design_effect
from croupier.serving.evidence import betting
from croupier.serving.release.rollout_state import RolloutState

HOURS = 24  # of a season, at most
PER_HOUR = 50  # decisions of the smaller side that an hour is meant to have; else hours are joined
AGREES = 1.2816  # standard errors that the latest season alone must be above the margin: an error of 10 %
AT_ONCE = 0.1  # of the error of harm (`alpha_harm`) is for what aborts before a season is over
FEW_LOOKS = 3.0  # times it is for harm over whole seasons: with a look a season it errs less than a third as often
WEIGHTS = (2 / 3, 4 / 3)  # of w: no factor of a bet may reach 0
Columns = tuple[F64, F64, F64, F64]


@dataclass(frozen=True, kw_only=True)
class Season:
    """One whole season of a stage: [start, end) in UTC µs."""

    stage: str
    share: float
    start: int
    end: int


def whole(state: RolloutState, length: int, *, until: int) -> list[Season]:
    """Every season of `length` µs that was over at `until`, and was spent at one stage; oldest first."""
    begun = list[tuple[str, int]]()
    for entry in state.history:
        if not begun or begun[-1][0] != entry["stage"]:
            begun.append((entry["stage"], entry["at"]))
    found = list[Season]()
    for (stage, start), (_, end) in pairwise([*begun, ("", until)]):
        times = range(start, min(end, until) - length + 1, length)
        if 0 < share_of(stage) < 1:
            found += [Season(stage=stage, share=share_of(stage), start=at, end=at + length) for at in times]
    return found


def hours_of(decisions: int | float, share: float) -> int:
    """Returns in how many parts a season of so many decisions is compared."""
    return int(np.clip(decisions * min(share, 1 - share) / PER_HOUR, 1, HOURS))


def within_hour(candidate: Bool, score: F64, count: F64, share: float, width: float) -> F64:
    """Returns ξ of the rows of an hour along the last axis; `count`: how many decisions a row stands for. An hour in
    which one side did not decide says nothing."""
    n = np.maximum(count.sum(axis=-1, keepdims=True), 1e-300)
    p = (count * candidate).sum(axis=-1, keepdims=True) / n
    mean = (count * score).sum(axis=-1, keepdims=True) / n
    both, v = p * (1 - p), share * (1 - share)
    weight = np.where(both > 0, np.clip(v / np.maximum(both, 1e-300), *WEIGHTS), 0.0)
    return np.asarray(weight * (candidate - p) * np.clip(score - mean, -width, width))


@dataclass(frozen=True, kw_only=True, eq=False)
class SeasonRows:
    """Rows of whole seasons in time order, all (n,); `ends`: rows until the end of each season."""

    bets: betting.Bets
    ends: tuple[int, ...]
    seasons: tuple[Season, ...]

    def latest(self, margin: float) -> float:
        """How many standard errors the latest season alone is above a loss of this share of its reward."""
        first, last = (0, *self.ends)[-2:]
        part = slice(first, last)
        found = above(
            float(self.bets.xi[part].sum()),
            float(np.square(self.bets.xi[part]).sum()) * self.bets.dispersion,
            margin * float((self.bets.v[part] * np.abs(self.bets.baseline[part])).sum()),
        )
        return float(found)

    def differences(self) -> list[dict[str, float | str]]:
        """Each season's stage, beginning and difference, for the history."""
        parts = [slice(*ends) for ends in pairwise((0, *self.ends))]
        means = [float(self.bets.xi[p].sum() / max(self.bets.v[p].sum(), 1e-300)) for p in parts]
        return [
            {"stage": s.stage, "start": s.start, "difference": mean}
            for s, mean in zip(self.seasons, means, strict=True)
        ]


def above(gain: float | F64, variance: float | F64, allowed: float | F64) -> F64:
    """Returns (Σξ + what may be lost) / its standard error; shapes broadcast."""
    return np.asarray((gain + allowed) / np.sqrt(np.maximum(variance, 1e-300)))


def levels(alpha_harm: float) -> tuple[float, float]:
    """Returns the log-wealth that harm must reach before a season is over, beyond what hours may differ, and over whole
    seasons."""
    return -float(np.log(AT_ONCE * alpha_harm)), -float(np.log(min(FEW_LOOKS * alpha_harm, 0.5)))


@dataclass(frozen=True, kw_only=True, eq=False)
class Scored:
    """Matured decisions in time order, all (n,): when, who was assigned to the candidate, the score, whose it is."""

    at: I64
    candidate: Bool
    score: F64
    unit: NDArray[np.uint64]

    def cut(self, rows: slice | Bool | I64) -> "Scored":
        """Some of the rows."""
        return replace(
            self, at=self.at[rows], candidate=self.candidate[rows], score=self.score[rows], unit=self.unit[rows]
        )


def season_rows(rows: Scored, seasons: Sequence[Season], *, width: float, per_unit: bool = False) -> SeasonRows:
    """Makes the bets on these whole seasons. A season's bet is scaled by what was known before it; the first season by
    its own. With `per_unit` a unit's decisions of an hour are one row, their mean."""
    parts, units, ends = list[Columns](), list[NDArray[np.uint64]](), [0]
    for season in seasons:
        first, last = np.searchsorted(rows.at, [season.start, season.end])
        before = rows.score[:first] if first >= betting.BLOCK else rows.score[first:last]
        part, unit = _season(rows.cut(slice(first, last)), season, before, width, per_unit=per_unit)
        parts, units = [*parts, part], [*units, unit]
        ends.append(ends[-1] + len(unit))
    xi, v, baseline, scale = (np.concatenate([part[k] for part in parts]) for k in range(4))
    numbered = np.unique(np.concatenate(units), return_inverse=True)[1]
    bets = betting.Bets(xi=xi, v=v, baseline=baseline, scale=scale, width=width, dispersion=design_effect(xi, numbered))
    return SeasonRows(bets=bets, ends=tuple(ends[1:]), seasons=tuple(seasons))


def _season(
    rows: Scored, season: Season, before: F64, width: float, *, per_unit: bool
) -> tuple[Columns, NDArray[np.uint64]]:
    """Returns (ξ, v, baseline, scale) of the rows of one season, and whose they are."""
    hours = hours_of(len(rows.at), season.share)
    edges = np.searchsorted(rows.at, np.linspace(season.start, season.end, hours + 1)[1:-1])
    each = [rows.cut(slice(*ends)) for ends in pairwise([0, *edges, len(rows.at)])]
    each = [by_unit(hour) if per_unit else hour for hour in each if len(hour.at)]
    xi = [within_hour(h.candidate, h.score, np.ones(len(h.at)), season.share, width) for h in each]
    n = sum(map(len, xi))
    mean = float(np.concatenate([h.score for h in each]).mean()) if n else 0.0
    scale = float(betting.bet_scale(before.mean(), before.var(), width)) if n else 0.0
    v = season.share * (1 - season.share)
    empty, none = np.zeros(0), np.zeros(0, np.uint64)
    columns = (np.concatenate([empty, *xi]), np.full(n, v), np.full(n, mean), np.full(n, scale))
    return columns, np.concatenate([none, *(h.unit for h in each)])


def by_unit(rows: Scored) -> Scored:
    """One row a unit, with the mean of its scores."""
    unit, first, which = np.unique(rows.unit, return_index=True, return_inverse=True)
    mean = np.bincount(which, weights=rows.score) / np.bincount(which)
    return Scored(at=rows.at[first], candidate=rows.candidate[first], score=mean, unit=unit)
