"""Sums by unit over a stream of rounds: rows of one unit resemble each other, wherever in a log they lie."""

from dataclasses import dataclass, field

import numpy as np
import polars as pl
from numpy.typing import NDArray

from croupier.features.batch import F64
from croupier.models.ope.estimators import Rounds, effective_sample_size

COMPACT = 4_000_000  # rows kept before those of a unit are added up
ROWS = "rows"


@dataclass
class UnitSums:
    """Returns each unit's number of rows, and the sums of the columns that estimates are made from."""

    parts: list[pl.DataFrame] = field(default_factory=list)

    def add(self, rounds: Rounds, unit: NDArray[np.generic]) -> None:
        """Adds a chunk; `unit` (n,) says whose each round is."""
        columns = {f"c{i}": column for i, column in enumerate(table(rounds))}
        part = pl.DataFrame({"unit": unit, ROWS: np.ones(len(rounds)), **columns})
        self.parts.append(part.group_by("unit").sum())
        if sum(map(len, self.parts)) > COMPACT:
            self._compact()

    def _compact(self) -> pl.DataFrame:
        self.parts = [pl.concat(self.parts).group_by("unit").sum()]
        return self.parts[0]

    def effective(self) -> float:
        """(Σ n)² / Σ n² of the units' rows n."""
        return effective_sample_size(self._compact()[ROWS].to_numpy())

    def design_effect(self, gradient: F64, mean: F64, squares: float) -> float:
        """The jackknife's design effect (`estimators.jackknife_effect`) of the values gradient · columns, whose squared
        deviations from gradient · mean add up to `squares`."""
        frame = self._compact()
        rows = frame[ROWS].to_numpy()
        if len(rows) == 1 and rows[0] > 1:
            return float("inf")
        sums = frame.drop("unit", ROWS).to_numpy() - rows[:, None] * mean
        together = sums @ gradient / np.maximum(1.0 - rows / rows.sum(), 1.0 / rows.sum())
        return max(1.0, float(np.square(together).sum() / max(squares, 1e-300)))


def table(rounds: Rounds) -> F64:
    """(5, n): ω · DM, ω w r, ω w, ω w (r − q̂) and ω of each round."""
    weight = rounds.weight * rounds.thinning
    residual = rounds.reward - rounds.predicted
    return np.stack(
        [rounds.thinning * rounds.direct, weight * rounds.reward, weight, weight * residual, rounds.thinning]
    )
