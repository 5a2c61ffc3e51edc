"""Estimates over a log that does not fit in memory: sums that add, chunk by chunk, shard by shard, day by day.

Each chunk leaves five column sums and their co-moments behind; every estimator is a smooth function of the five means,
so its standard error follows by the delta method, self-normalised ones included. Two `Totals` of different shards add
to the `Totals` of both, exactly.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import inf, sqrt
from typing import Self

import numpy as np

from croupier.features.batch import F64
from croupier.models.ope.estimators import Moments, Rounds
from croupier.models.ope.unit_sums import UnitSums, table

LARGEST = 1e280  # sum of squares; beyond it sums over days would be infinite


@dataclass(frozen=True, kw_only=True, eq=False)
class Totals:
    """n rounds: mean (5,) and co-moments (5, 5) of the columns; squares Σ (ωw)² and the largest ωw."""

    n: float
    mean: F64
    comoments: F64
    squares: float
    largest: float

    @classmethod
    def of(cls, rounds: Rounds) -> Self:
        """Returns the sums over rounds that every estimate is made from."""
        with np.errstate(over="ignore", invalid="ignore"):
            weight = rounds.weight * rounds.thinning
            columns = table(rounds)
            mean = columns.mean(axis=1)
            columns -= mean[:, None]
            comoments, squares = columns @ columns.T, float(weight @ weight)
        if not (squares < LARGEST and np.diagonal(comoments).max() < LARGEST):  # NaN is not, either
            least, most = rounds.propensity.min(), np.abs(rounds.reward).max()
            raise ValueError(
                f"log: found a propensity of {least:.3g} and a reward of {most:.3g}, expected numbers "
                "whose squares can be added; leave such rows out"
            )
        return cls(n=float(len(rounds)), mean=mean, comoments=comoments, squares=squares, largest=float(weight.max()))

    def __add__(self, other: Self) -> Self:
        """Chan, Golub & LeVeque 1979, for vectors."""
        n = self.n + other.n
        delta = other.mean - self.mean
        return type(self)(
            n=n,
            mean=self.mean + delta * (other.n / n),
            comoments=self.comoments + other.comoments + np.outer(delta, delta) * (self.n * other.n / n),
            squares=self.squares + other.squares,
            largest=max(self.largest, other.largest),
        )

    def estimates(self, units: UnitSums | None = None) -> dict[str, Moments]:
        """dm, ips, snips, dr and sndr as moments, ready for any interval of models/ope/intervals.py. With the sums by
        unit of the same rounds their variances hold for units to come."""
        direct, reward, weight, residual, one = self.mean
        zero = weight == 0.0  # the log says nothing of this policy
        w, snips, shift = (inf, 0.0, 0.0) if zero else (weight, reward / weight, residual / weight)
        dm, ips, dr = direct / one, reward / one, (direct + residual) / one
        gradients = {
            "dm": (dm, [1 / one, 0, 0, 0, -dm / one]),
            "ips": (ips, [0, 1 / one, 0, 0, -ips / one]),
            "snips": (snips, [0, 1 / w, -snips / w, 0, 0]),
            "dr": (dr, [1 / one, 0, 0, 1 / one, -dr / one]),
            "sndr": (dm + shift, [1 / one, 0, -shift / w, 1 / w, -dm / one]),
        }
        return {name: self._moments(float(value), np.array(g), units) for name, (value, g) in gradients.items()}

    def _moments(self, value: float, gradient: F64, units: UnitSums | None) -> Moments:
        squares = max(0.0, float(gradient @ self.comoments @ gradient))
        effect = 1.0 if units is None or not squares else units.design_effect(gradient, self.mean, squares)
        return Moments(self.n, value, squares * effect)

    @property
    def ess(self) -> float:
        """(Σ w)² / Σ w²."""
        return float(self.n * self.mean[2]) ** 2 / self.squares if self.squares > 0 else 0.0

    @property
    def largest_share(self) -> float:
        """The heaviest round's share of all weight."""
        total = self.n * float(self.mean[2])
        return self.largest / total if total > 0 else 1.0

    def weight_z(self, units: UnitSums | None = None) -> float:
        """How many standard errors the mean weight lies from 1, which it is where propensities are true."""
        weight, one = float(self.mean[2]), float(self.mean[4])
        found = self._moments(weight / one, np.array([0, 0, 1 / one, 0, -weight / one**2]), units)
        spread = sqrt(found.m2 / max(self.n - 1, 1) / self.n)
        return (found.mean - 1.0) / spread if spread > 0 else 0.0


def total(chunks: Iterable[Rounds]) -> Totals:
    """The totals of a stream of chunks. Raises ValueError when there is none."""
    found: Totals | None = None
    for rounds in chunks:
        found = Totals.of(rounds) if found is None else found + Totals.of(rounds)
    if found is None:
        raise ValueError("log: found no rounds, expected at least one row with a reward and a propensity")
    return found
