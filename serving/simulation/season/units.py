"""A day of units of which a few decide very often and click more: what `per = "decision"` and `"unit"` make of it."""

from typing import Any

import numpy as np

from croupier.features.utc import DAY
from croupier.serving.evidence import seasons
from croupier.serving.evidence.seasons import Scored, Season, SeasonRows

UNITS, HEAVY = 12_000, 0.05
OFTEN, CLICKS = (1.5, 30.0), (0.08, 0.25)  # decisions a day and click rate, of the many and of the few
SHARE, ALPHA = 0.5, 0.02
WORLDS: dict[str, dict[str, float]] = {
    "no effect": {},
    "the candidate's heavy units come half as often again, nobody clicks more": {"more": 0.5},
    "+10 % clicks": {"effect": 0.10},
    "+20 % clicks": {"effect": 0.20},
}


def day(rng: np.random.Generator, *, more: float = 0.0, effect: float = 0.0) -> Scored:
    """Draws a day's decisions. Heavy units of the candidate decide `more` often; its clicks are `effect` more."""
    heavy, assigned = rng.random(UNITS) < HEAVY, rng.random(UNITS) < SHARE
    often = np.where(heavy, OFTEN[1] * (1 + more * assigned), OFTEN[0])
    rate = np.where(heavy, CLICKS[1], CLICKS[0]) * rng.gamma(4.0, 0.25, UNITS) * (1 + effect * assigned)
    unit = np.repeat(np.arange(UNITS), rng.poisson(often))
    at = rng.integers(DAY, size=len(unit))
    order = np.argsort(at, kind="stable")
    unit = unit[order]
    score = (rng.random(len(unit)) < np.minimum(rate, 1.0)[unit]).astype(np.float64)
    return Scored(at=at[order], candidate=assigned[unit], score=score, unit=unit.astype(np.uint64))


def shown(*, runs: int, seed: int = 0) -> dict[str, Any]:
    """Returns by world and setting in how many days the candidate was shown to be better, and shown to be worse."""
    season, found = Season(stage="50%", share=SHARE, start=0, end=DAY), dict[str, Any]()
    for name, world in WORLDS.items():
        rng, counts = np.random.default_rng([seed, runs, 5]), {"decision": [0, 0], "unit": [0, 0]}
        for _ in range(runs):
            rows = day(rng, **world)
            for per, count in counts.items():
                made = seasons.season_rows(rows, [season], width=1.0, per_unit=per == "unit")
                count[0] += _wealth(made, harm=False) >= -np.log(ALPHA)
                count[1] += _wealth(made, harm=True) >= -np.log(ALPHA)
        found[name] = {per: {"better": k[0] / runs, "worse": k[1] / runs} for per, k in counts.items()}
    return found


def _wealth(made: SeasonRows, *, harm: bool) -> float:
    return float(made.bets.log_wealth(0.0, harm=harm)[-1])
