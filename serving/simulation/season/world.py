"""Days of traffic, an hour at a time, in which what a candidate is worth, and what users do, depends on the hour."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from croupier.features.batch import F64, I64, Bool
from croupier.features.schema import CANDIDATE, CHAMPION

HOURS = 24
SIDE = np.array(
    [True, True, False, False]
)  # of an hour's rows: the candidate's without and with a click, the champion's
SCORE = np.array([0.0, 1.0, 0.0, 1.0])


@dataclass(frozen=True, kw_only=True, eq=False)
class Hour:
    """One hour of R rollouts: decisions (R, 4) by SIDE and SCORE as they count, as they would with late rewards; and
    the candidate's and champion's decisions that were rewarded (2, R), and those of them that were too late."""

    count: F64
    whole: F64
    rewarded: F64
    late: F64


@dataclass(frozen=True, kw_only=True)
class DayWorld:
    """A champion whose users click at rate `mean`, times 1 + `level` at the peak of the day and 1 − `level` at its low.

    The candidate is worth `effect` more, relative, give or take `swing` by the hour. Its units decide more often, by
    `activity` at the peak and not at the low. The first decisions of a rollout may be worth more: `novelty` is
    (effect, decisions). `late`: a role's share of rewards that come after the window."""

    per_day: int
    effect: float = 0.0
    swing: float = 0.0
    level: float = 0.0
    activity: float = 0.0
    late: Mapping[str, float] = field(default_factory=dict)
    novelty: tuple[float, int] | None = None
    mean: float = 0.10

    def __post_init__(self) -> None:
        top = self.mean * (1 + self.level) * (1 + max(self.effect, (self.novelty or (0.0, 0))[0]) + self.swing)
        if self.per_day < HOURS or not 0 < top < 1 or self.level > 1 or self.effect - self.swing < -1:
            raise ValueError(
                f"world: found {self}, expected {HOURS} decisions a day or more, and click rates between 0 and 1"
            )
        if not (0 <= self.activity <= 1 and all(0 <= share <= 1 for share in self.late.values())):
            raise ValueError(f"found activity {self.activity}, late {dict(self.late)}, expected shares in [0, 1]")
        if odd := sorted(set(self.late) - {CANDIDATE, CHAMPION}):
            raise ValueError(f"late: found {', '.join(odd)}, expected {CANDIDATE} or {CHAMPION}")

    @property
    def per_hour(self) -> int:
        """Decisions an hour, both roles."""
        return self.per_day // HOURS

    def hour(self, clock: I64, passed: int, share: F64, rng: np.random.Generator) -> Hour:
        """Draws an hour of R rollouts that have `passed` hours behind them, at hour `clock` (R,) of the day."""
        tide = np.sin(2 * np.pi * clock / HOURS)
        base = self.mean * (1 + self.level * tide)
        effect = self.effect + self.swing * tide
        if self.novelty is not None:
            effect = np.where(passed * self.per_hour < self.novelty[1], self.novelty[0], effect)
        n1 = rng.binomial(self.per_hour, share * (1 + self.activity * (1 + tide) / 2))
        n0 = rng.binomial(self.per_hour, 1 - share)
        k = np.stack([rng.binomial(n1, base * (1 + effect)), rng.binomial(n0, base)])
        late = rng.binomial(k, [[self.late.get(CANDIDATE, 0.0)], [self.late.get(CHAMPION, 0.0)]])
        return Hour(
            count=_rows(n1, n0, k - late), whole=_rows(n1, n0, k), rewarded=k.astype(float), late=late.astype(float)
        )


def _rows(n1: I64, n0: I64, k: I64) -> F64:
    return np.asarray(np.stack([n1 - k[0], k[0], n0 - k[1], k[1]], axis=1), np.float64)


def sides(shape: tuple[int, ...]) -> tuple[Bool, F64]:
    """SIDE and SCORE in this shape (…, 4)."""
    return np.broadcast_to(SIDE, shape), np.broadcast_to(SCORE, shape)
