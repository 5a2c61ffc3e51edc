"""What the rewards say of a candidate: harm at once or over whole seasons, safety over whole seasons.

    no season declared      every look: harm below 0, safety above the stage's margin
    while a season runs     harm beyond the declared swing of the hours; less is suspected harm, and said
    whole seasons           harm below 0, safety above the margin, and whether the latest season alone agrees

Where rewards are late for one role (lateness.py) harm is what remains when they are counted all the same.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from croupier.features.batch import F64
from croupier.features.reward import window_us
from croupier.features.spec import AppSpec
from croupier.features.utc import SECOND
from croupier.serving.evidence import betting, seasons
from croupier.serving.evidence.comparison import Compared
from croupier.serving.evidence.seasons import Scored, Season, SeasonRows
from croupier.serving.release.rollout_state import RolloutState
from croupier.serving.release.stage_rule import stage_margin

REWARD = ("reward",)


@dataclass(frozen=True, kw_only=True)
class JudgedReward:
    """See RolloutEvidence; `numbers` for the history."""

    numbers: Mapping[str, Any]
    decisions: int
    safe: bool
    harms: tuple[str, ...] = ()
    seasons: int = 0
    latest: bool = True
    suspected: tuple[str, ...] = ()


def judged(rows: Compared, scores: F64, honest: F64, state: RolloutState, spec: AppSpec, *, now: int) -> JudgedReward:
    """Judges by the scores (n,) of the rows, and harm by `honest` ones: these, or with late rewards counted."""
    length, own = int(spec.rollout.season_seconds * SECOND), spec.rollout
    here = ((rows.frame["stage"] == state.stage) & (rows.frame["at"] >= state.since)).to_numpy()
    margin, of_harm = stage_margin(state, own), bets_of(rows, honest, spec)
    if length and not state.kept:
        whole = seasons.whole(state, length, until=now - window_us(spec.reward))
        hours = _by_hour(of_harm, spec)
        if whole:
            both = [_whole(rows, each, whole, spec) for each in (scores, honest)]
            counted = here & (rows.log.at < whole[-1].end)
            return _by_season(both[0], both[1], hours, int(counted.sum()), state=state, spec=spec)
        none = {"log_wealth_harm": 0.0, "log_wealth_safe": 0.0, "seasons": [], "latest": 0.0}
        numbers = _numbers(bets_of(rows, scores, spec), of_harm, spec, margin) | none | dict(hours.numbers)
        return JudgedReward(numbers=numbers, decisions=0, safe=False, harms=hours.harms, suspected=hours.suspected)
    numbers = _numbers(bets_of(rows, scores, spec), of_harm, spec, margin)
    harm = numbers["log_wealth_harm"] >= np.log(1 / own.alpha_harm)
    safe = bool(numbers["log_wealth_safe"] >= np.log(1 / own.alpha))
    return JudgedReward(numbers=numbers, decisions=int(here.sum()), safe=safe, harms=REWARD * bool(harm))


@dataclass(frozen=True, kw_only=True)
class _Hours:
    """What all hours say, whole seasons or not."""

    numbers: Mapping[str, float]
    harms: tuple[str, ...]
    suspected: tuple[str, ...]


def _by_hour(bets: betting.Bets, spec: AppSpec) -> _Hours:
    lost = -spec.rollout.swing * np.abs(bets.baseline)
    sudden, any_loss = (float(bets.log_wealth(delta, harm=True)[-1]) for delta in (lost, np.zeros_like(lost)))
    return _Hours(
        numbers={"log_wealth_at_once": sudden, "log_wealth_by_hour": any_loss},
        harms=REWARD * bool(sudden >= seasons.levels(spec.rollout.alpha_harm)[0]),
        suspected=REWARD * bool(any_loss >= np.log(1 / spec.rollout.alpha_harm)),
    )


def _by_season(
    found: SeasonRows, of_harm: SeasonRows, hours: _Hours, decisions: int, *, state: RolloutState, spec: AppSpec
) -> JudgedReward:
    margin = stage_margin(state, spec.rollout)
    numbers = _numbers(found.bets, of_harm.bets, spec, margin) | dict(hours.numbers)
    numbers |= {"seasons": found.differences(), "latest": found.latest(margin)}
    harm = numbers["log_wealth_harm"] >= seasons.levels(spec.rollout.alpha_harm)[1]
    return JudgedReward(
        numbers=numbers,
        decisions=decisions,
        safe=bool(numbers["log_wealth_safe"] >= np.log(1 / spec.rollout.alpha)),
        harms=REWARD if harm else hours.harms,
        seasons=sum(season.stage == state.stage for season in found.seasons),
        latest=bool(numbers["latest"] >= seasons.AGREES),
        suspected=hours.suspected if numbers["difference"] <= 0 else (),
    )


def bets_of(rows: Compared, scores: F64, spec: AppSpec) -> betting.Bets:
    """The bets on these scores (n,) of all rows."""
    low, high = spec.reward.range
    return betting.bets(rows.assigned, rows.share, scores, rows.log.unit, width=high - low)


def _whole(rows: Compared, scores: F64, whole: list[Season], spec: AppSpec) -> SeasonRows:
    low, high = spec.reward.range
    scored = Scored(at=rows.log.at, candidate=rows.assigned, score=scores, unit=rows.log.unit)
    return seasons.season_rows(scored, whole, width=high - low, per_unit=spec.rollout.per == "unit")


def _numbers(bets: betting.Bets, of_harm: betting.Bets, spec: AppSpec, margin: float) -> dict[str, Any]:
    return {
        "difference": float(bets.xi.sum() / max(bets.v.sum(), 1e-300)),
        "lower": bets.lower(spec.rollout.alpha),
        "upper": bets.upper(spec.rollout.alpha_harm),
        "margin": margin,
        "design_effect": bets.dispersion,
        "log_wealth_harm": float(of_harm.log_wealth(0.0, harm=True)[-1]),
        "log_wealth_safe": float(bets.log_wealth(-margin * np.abs(bets.baseline), harm=False)[-1]),
    }
