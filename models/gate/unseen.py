"""What rewards that are declared, and have hardly come yet, could do to a lift: a rare loss shows no variance.

A loss of 50 once in 500 rows is not seen in the first hundreds, and no normal limit knows of it; its declared range
does. Rewards beyond the fifth lowest one have hardly been seen: at most four rows in n had them. With error δ their
rows then have at most λ / n of the log's probability, where a Poisson of mean λ is at most 4 with probability δ
(Garwood 1936). At worst these are the rows on which the candidate's weight exceeds the champion's most, and each costs
there what lies between the fifth lowest reward and the lowest one declared. The same holds above the fifth highest.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy.special import chdtri

from croupier.features.batch import F64
from croupier.features.encoded.columns import greatest, mean
from croupier.models.gate.informative import weight_gap
from croupier.models.ope.estimators import Rounds

FEW = 5  # rewards as low, or as high, that must have come
LEVEL = 0.1  # of a look's α, beside it: what so few in n rows may be wrong about
MOST = 60  # rows kept: λ of them are asked for


@dataclass(frozen=True, kw_only=True, eq=False)
class Unseen:
    """low, high: how far declared rewards reach below and above those seen often enough. gains, losses (k,): the
    greatest (w₁ − w₀)⁺ and (w₁ − w₀)⁻, falling, as shares of all n rows. seen: the fifth lowest and fifth highest
    reward."""

    low: float
    high: float
    gains: F64
    losses: F64
    seen: tuple[float, float]

    @classmethod
    def of(cls, candidate: Rounds, champion: Rounds, declared: tuple[float, float]) -> Self:
        """Takes the same rows as both policies see them; `declared` is the range of a reward."""
        gap, whole = weight_gap(candidate, champion), mean(candidate.thinning) * len(candidate)
        few = min(FEW, len(candidate))
        seen = -float(greatest(candidate.reward, few, sign=-1.0)[-1]), float(greatest(candidate.reward, few)[-1])
        return cls(
            low=max(0.0, seen[0] - declared[0]),
            high=max(0.0, declared[1] - seen[1]),
            gains=np.maximum(greatest(gap, MOST), 0.0) / whole,
            losses=np.maximum(greatest(gap, MOST, sign=-1.0), 0.0) / whole,
            seen=seen,
        )

    def shift(self, alpha: float) -> float:
        """By how much they could lower the lift, in reward per decision, with error LEVEL · alpha."""
        rows = float(chdtri(2 * FEW, LEVEL * alpha)) / 2.0
        return self.low * _first(self.gains, rows) + self.high * _first(self.losses, rows)

    @property
    def says(self) -> str:
        """Which declared rewards have hardly come, in words; "" where both ends have."""
        low, high = self.seen
        below = f"below {low:.4g}, by as much as {self.low:.4g}" if self.low else ""
        above = f"above {high:.4g}, by as much as {self.high:.4g}" if self.high else ""
        said = " and ".join(filter(None, (below, above)))
        return f"reward.range declares rewards {said}, of which fewer than {FEW} came" if said else ""


def _first(greatest: F64, rows: float) -> float:
    """The sum of the first `rows` of these, the last one in part."""
    whole = int(rows)
    part = greatest[whole] * (rows - whole) if whole < len(greatest) else 0.0
    return float(greatest[:whole].sum() + part)
