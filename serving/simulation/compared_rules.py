"""Other people's rules for stopping a canary, written out from their descriptions, on the same Bernoulli world.

All see 5 % of the traffic in the candidate and look each 2,000 decisions; each stops at its first alarm and ships what
it has not stopped (GrowthBook's "safe rollout" does so when inconclusive; Kayenta passes a canary that did not fail).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import ndtri

from croupier.features.batch import F64, I64, Bool
from croupier.models.ope.intervals import boundary
from croupier.serving.simulation.rollout import LOOK, Bernoulli

SHARE = 0.05
BUCKETS = 10  # time buckets of one look, for the judge that compares series


@dataclass(frozen=True, kw_only=True, eq=False)
class Canary:
    """Clicks per bucket (R, looks, BUCKETS) of the candidate, of as many champion decisions, and of the other champion
    decisions of each look (R, looks). Every bucket has `size` decisions a side, every look `others` more."""

    candidate: I64
    baseline: I64
    rest: I64
    size: int
    others: int

    def means(self) -> tuple[F64, F64, F64, F64]:
        """Cumulated over looks: n and mean of the candidate, n and mean of the champion."""
        looks = np.arange(1, self.rest.shape[1] + 1, dtype=np.float64)
        n1, n0 = looks * self.size * BUCKETS, looks * (self.size * BUCKETS + self.others)
        k1 = self.candidate.sum(axis=2).cumsum(axis=1)
        k0 = (self.baseline.sum(axis=2) + self.rest).cumsum(axis=1)
        return n1, k1 / n1, n0, k0 / n0


def draw(world: Bernoulli, *, runs: int, looks: int, rng: np.random.Generator) -> Canary:
    """Draws the looks of a canary against a baseline of the same size."""
    size, shape = int(LOOK * SHARE) // BUCKETS, (runs, looks, BUCKETS)
    others = LOOK - 2 * size * BUCKETS
    return Canary(
        candidate=rng.binomial(size, world.mean * (1 + world.effect), shape),
        baseline=rng.binomial(size, world.mean, shape),
        rest=rng.binomial(others, world.mean, shape[:2]),
        size=size,
        others=others,
    )


def peeking(data: Canary) -> Bool:
    """Returns (R, looks): a z test at p < 0.05, read at each look as if it were the only one."""
    n1, p1, n0, p0 = data.means()
    spread = np.sqrt(p1 * (1 - p1) / n1 + p0 * (1 - p0) / n0)
    return np.asarray((p1 - p0) / np.maximum(spread, 1e-12) < ndtri(0.025))


def growthbook(data: Canary) -> Bool:
    """Returns (R, looks): its sequential guardrail, a 95 % asymptotic confidence sequence tuned at 5,000 units
    (docs.growthbook.io, "Sequential Testing": Waudby-Smith et al. with N* = 5000)."""
    n1, p1, n0, p0 = data.means()
    n = n1 + n0
    spread = np.sqrt(n * (p1 * (1 - p1) / n1 + p0 * (1 - p0) / n0))
    width = np.array([boundary(float(each), alpha=0.025, tuned_at=5000.0) for each in n])
    return np.asarray(p1 - p0 + spread * width < 0)


def kayenta(data: Canary) -> Bool:
    """Returns (R, looks): the judge's Mann–Whitney test at 98 % between the series of candidate and an equal baseline,
    either direction a failure, as its default configuration has it (spinnaker/kayenta, NetflixACAJudge)."""
    ranks = np.arange(data.size + 1)
    h1, h0 = (
        np.cumsum((x[..., None] == ranks).sum(axis=2), axis=1).astype(np.float64)
        for x in (data.candidate, data.baseline)
    )
    m = h1.sum(axis=2)
    below = np.cumsum(h0, axis=2) - h0
    u = (h1 * (below + 0.5 * h0)).sum(axis=2)
    ties = ((h1 + h0) ** 3 - (h1 + h0)).sum(axis=2)
    variance = m * m / 12 * (2 * m + 1 - ties / (2 * m * (2 * m - 1)))
    return np.asarray(np.abs(u - m * m / 2) / np.sqrt(np.maximum(variance, 1e-12)) > ndtri(0.99))


RULES: dict[str, Callable[[Canary], Bool]] = {"kayenta": kayenta, "peeking": peeking, "growthbook": growthbook}


def characteristics(*, runs: int, seed: int = 0) -> dict[str, dict[str, Any]]:
    """Returns for each rule what `characteristics` of our own returns; `…_20` counts the first 20 looks only."""
    rng = np.random.default_rng([seed, runs, 1])
    effects = (0.0, -0.30, -0.60, -0.10, 0.10)
    worlds = {effect: draw(Bernoulli(effect=effect), runs=runs, looks=150, rng=rng) for effect in effects}
    found = {}
    for name, rule in RULES.items():
        first = {effect: _first(rule(data)) for effect, data in worlds.items()}
        found[name] = {
            "runs": runs, "aa_abort_rate": _by(first[0.0], 200_000), "aa_abort_rate_20": _by(first[0.0], 40_000),
            "harm30_caught": _by(first[-0.30], 40_000), "harm30_median_decisions": float(np.median(first[-0.30])),
            "harm60_caught_by_8000": _by(first[-0.60], 8_000), "worse_reaches_100": 1 - _by(first[-0.10], 300_000),
            "better10_reaches_100": 1 - _by(first[0.10], 300_000),
        }  # fmt: skip
    return found


def _first(alarm: Bool) -> F64:
    """Returns (R,) decisions until the first alarm; inf where there is none."""
    return np.where(alarm.any(axis=1), (alarm.argmax(axis=1) + 1) * float(LOOK), np.inf)


def _by(decisions: F64, limit: float) -> float:
    return float(np.mean(decisions <= limit))
