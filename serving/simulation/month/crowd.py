"""A crowd that asks the bandit all day long: visits of the reels world, with a daily season and arms that come and go.

The truth is known, so that every policy's value on an hour's very visits can be computed exactly.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import cos, pi
from typing import Any

import numpy as np

from croupier.features.batch import F64
from croupier.features.schema import Arm
from croupier.features.utc import HOUR, from_us
from croupier.features.worlds.reels import Visit, World, uniform_pmf
from croupier.serving.contract.requests import Request

DAY = 24 * HOUR
SEASON = 0.6  # the busiest hour has (1 + .6) / (1 − .6) = 4 times the traffic of the quietest


@dataclass(frozen=True, kw_only=True)
class Crowd:
    """`per_day` decisions a day, most at 20:00 UTC; `start` is UTC µs.

    flip: the day on which tastes reverse (0: never). churn: each day one arm leaves and one comes, of the world's arms.
    """

    world: World
    start: int
    per_day: int
    flip: int = 0
    churn: bool = False
    salt: int = field(default=0)

    def now(self, at: int) -> World:
        """The world as it is at `at`."""
        turned = self.flip and at >= self.start + (self.flip - 1) * DAY
        return self.world.flipped() if turned else self.world

    def arms(self, at: int) -> list[Arm]:
        """Returns the arms that can be shown at `at`; with churn three quarters of all, another one each day."""
        all_arms = self.world.arms()
        if not self.churn:
            return all_arms
        day, n = (at - self.start) // DAY, len(all_arms)
        return [all_arms[(day + i) % n] for i in range(max(2, 3 * n // 4))]

    def visits(self, at: int, seconds: float) -> list[Visit]:
        """Who comes in the `seconds` from `at` on. The same arguments, the same visits."""
        rng = np.random.default_rng([self.world.seed, self.salt, at // 1_000_000])
        hour = from_us(at).hour
        rate = self.per_day / 86400.0 * (1.0 + SEASON * cos(2 * pi * (hour - 20) / 24))
        offered = {arm.arm_id for arm in self.arms(at)}
        found = self.world.users(int(rng.poisson(rate * seconds)), rng)
        return [_offered(_at(visit, hour), offered) for visit in found if offered & set(visit.arms)]

    def clicks(self, at: int, visits: Sequence[Visit], places: Sequence[int]) -> list[bool]:
        """Whether the arm at each place was clicked."""
        if not visits:
            return []
        rng = np.random.default_rng([self.world.seed, self.salt, at // 1_000_000, 1])
        truth = self.now(at).truth(visits)
        return [bool(hit) for hit in rng.random(len(visits)) < truth[np.arange(len(visits)), list(places)]]

    def values(self, at: int, visits: Sequence[Visit], served: Sequence[Sequence[float]]) -> dict[str, float]:
        """Σ over the visits of what uniform, the served pmf, and the best arm of each are truly worth."""
        if not visits:
            return {"uniform": 0.0, "served": 0.0, "best": 0.0, "decisions": 0.0}
        truth = self.now(at).truth(visits)
        pmf: F64 = np.zeros(truth.shape)
        for row, probabilities in enumerate(served):
            pmf[row, : len(probabilities)] = probabilities
        return {
            "uniform": float((uniform_pmf(visits) * truth).sum()),
            "served": float((pmf * truth).sum()),
            "best": float(truth.max(axis=1).sum()),
            "decisions": float(len(visits)),
        }


def _at(visit: Visit, hour: int) -> Visit:
    """The world's own hour is drawn at random; here it is the clock's."""
    return replace(visit, context={**visit.context, "hour": float(hour)})


def _offered(visit: Visit, arms: set[str]) -> Visit:
    """Only the arms that can be shown now."""
    if arms.issuperset(visit.arms):
        return visit
    pairs: list[tuple[str, dict[str, Any]]] = [
        (arm, pair) for arm, pair in zip(visit.arms, visit.arm_context, strict=True) if arm in arms
    ]
    return replace(visit, arms=tuple(a for a, _ in pairs), arm_context=tuple(p for _, p in pairs))


def request_of(visit: Visit) -> Request:
    """What a client sends for this visit."""
    return Request(unit_id=visit.unit_id, context=visit.context, arms=visit.arms, arm_context=visit.arm_context)
