"""How many draws of a log tell two policies apart: a normal limit cannot see the events that have not happened.

The effective sample size of the candidate's weights says nothing of a log that the candidate's like has made: there the
champion's weights are the heavy ones. And where a lift hangs on a few rewards that lie far from all others, their
number is what counts, on the side that speaks for the candidate and on the side that speaks against it alike: with four
complaints of the champion's and none of the candidate's, the ones that did not come yet would turn the verdict.
"""

from dataclasses import dataclass
from math import inf
from typing import Self

import numpy as np

from croupier.features.batch import F64
from croupier.features.encoded.columns import column, median
from croupier.models.ope.estimators import Rounds, effective_sample_size


@dataclass(frozen=True, slots=True, kw_only=True)
class Informative:
    """champion_ess: effective rows of the champion's weights w₀ = π₀ / p; difference_ess: of |w₁ − w₀|; events: of
    (w₁ − w₀)⁺ · |r − median r|, and of the same of (w₁ − w₀)⁻, the less of the two. Each is Kish's (Σ x)² / Σ x²."""

    champion_ess: float
    difference_ess: float
    events: float

    @classmethod
    def of(cls, candidate: Rounds, champion: Rounds) -> Self:
        """Counts the draws of the same rows as both policies see them."""
        n, reward, middle = len(candidate), candidate.reward, median(candidate.reward)
        gap = weight_gap(candidate, champion)

        def far(side: float) -> float:
            return effective_sample_size(
                column(n, lambda rows: np.maximum(side * gap[rows], 0.0) * np.abs(reward[rows] - middle))
            )

        return cls(
            champion_ess=effective_sample_size(champion.kept_weight),
            difference_ess=effective_sample_size(column(n, lambda rows: np.abs(gap[rows]))),
            events=min(far(1.0), far(-1.0)),
        )


def weight_gap(candidate: Rounds, champion: Rounds) -> F64:
    """Returns (n,) ω (w₁ − w₀)."""

    def of(rows: slice) -> F64:
        return (candidate[rows].weight - champion[rows].weight) * candidate.thinning[rows]

    return column(len(candidate), of)


UNASKED = Informative(champion_ess=inf, difference_ess=inf, events=inf)
