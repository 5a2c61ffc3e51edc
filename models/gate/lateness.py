"""What the lift would be if the rewards that came after their window had been on time.

Such a reward does not count. Where the rewards of one arm travel more slowly than those of another (a longer film, a
parcel), that arm looks worse than it is, and so does whoever draws it. The rewards that are known to have come late
say by how much: their part of the lift is estimated by inverse propensities,

    shift = mean of (w₁ − w₀) (what the round would have earned − what it earned)

and a promotion has to stand with it, too. What comes later than the newest join is not known yet.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np

from croupier.features.batch import F64, Bool, Interactions
from croupier.features.declared.within import within
from croupier.features.encoded.columns import column, mean
from croupier.features.encoded.on_disk import blocks
from croupier.models.ope import estimators
from croupier.models.ope.estimators import Rounds

LEAST = 100  # decisions of an arm from which on its share is named


@dataclass(frozen=True, slots=True, kw_only=True)
class Lateness:
    """`shift`: what late rewards would add to the lift, reward per decision; `says`: whose they are."""

    shift: float
    says: str

    @classmethod
    def of(
        cls, candidate: Rounds, champion: Rounds, log: Interactions, late: F64, declared: tuple[float, float] | None
    ) -> Self | None:
        """From `late` (n,), what the late rewards of each round would have come to; None where there are none. A
        reward is cut to the `declared` range, late or not."""
        if not late.any():
            return None
        ends = declared or (-np.inf, np.inf)

        def more(rows: slice) -> F64:
            reward = log.reward[rows]
            gained: F64 = within(reward + late[rows], ends) - within(reward, ends)
            return (candidate[rows].weight - champion[rows].weight) * gained

        part = estimators.unthinned(column(len(log), more), candidate.thinning)
        return cls(shift=mean(part), says=_says(log, late != 0.0))


def _says(log: Interactions, late: Bool) -> str:
    """Which arm's rewards are late most often, and how often those of the others are."""
    ids = log.batch.catalogue.ids
    drawn, came = np.zeros((2, len(ids)))
    for rows in blocks(len(log)):
        shown = log[rows].shown[0]
        drawn += np.bincount(shown, minlength=len(ids))
        came += np.bincount(shown, weights=late[rows], minlength=len(ids))
    share = np.where(drawn >= LEAST, came / np.maximum(drawn, 1), 0.0)
    worst = int(share.argmax())
    others = drawn.sum() - drawn[worst]
    rest = f", {(came.sum() - came[worst]) / others:.1%} of those for other arms" if others else ""
    return f"late rewards counted: {share[worst]:.1%} of the decisions for arm {ids[worst]} had one{rest}"
