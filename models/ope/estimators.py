"""Off-policy estimators: what a policy would have earned on the rounds another policy logged.

Every estimator is a pure function of one small shape, `Rounds`, and returns one value a round, (n,): its mean is the
estimate, its spread the uncertainty. Self-normalised estimators are not means; they return their linearisation, whose
mean is the estimate exactly and whose spread is the delta method's. So every interval in `intervals.py` takes any of
them. Values become `Moments`, which add over shards, days and hosts. Those of a long log are made block by block, and
lie on disk (features/encoded/columns.py).

Notation: w = π(a|x) / p with p the logged propensity, r the reward, q̂ a cross-fitted reward model.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from math import inf
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from croupier.features.batch import F64, I64
from croupier.features.encoded import on_disk
from croupier.features.encoded.columns import by_number, column, counted, mean, squares, total


@dataclass(frozen=True, kw_only=True, eq=False)
class Rounds:
    """n logged rounds as one policy sees them, all (n,).

    reward r; propensity p of the logged arm; target π(a|x) of the same arm; predicted q̂(x, a) of it;
    direct Σ_a π(a|x) q̂(x, a); thinning 1 / pass_probability (ones for a log that kept every row)."""

    reward: F64
    propensity: F64
    target: F64
    predicted: F64
    direct: F64
    thinning: F64

    def __post_init__(self) -> None:
        shapes = {f.name: np.shape(getattr(self, f.name)) for f in fields(self)}
        if len(set(shapes.values())) != 1 or len(self.reward.shape) != 1 or len(self.reward) == 0:
            raise ValueError(f"rounds: found shapes {shapes}, expected one (n,) for all with n ≥ 1")
        if not (np.all(self.propensity > 0) and np.all(self.propensity <= 1 + 1e-9)):
            bad = int(np.flatnonzero(~((self.propensity > 0) & (self.propensity <= 1 + 1e-9)))[0])
            raise ValueError(
                f"propensity: found {self.propensity[bad]} in row {bad}, expected 0 < p ≤ 1; a log without true "
                "propensities cannot be evaluated off-policy"
            )

    def __len__(self) -> int:
        return len(self.reward)

    @property
    def weight(self) -> F64:
        """The importance weights π/p, (n,)."""
        return column(len(self), lambda rows: self.target[rows] / self.propensity[rows])

    @property
    def kept_weight(self) -> F64:
        """The importance weights of the log before it was thinned, ω π/p, (n,)."""
        return self.by_rows(lambda part: part.weight * part.thinning)

    def by_rows(self, values: "Estimator") -> F64:
        """Returns (n,) what `values` makes of some rounds at a time."""
        whole = len(self) <= on_disk.BLOCK
        return values(self) if whole else column(len(self), lambda rows: values(self[rows]))

    def __getitem__(self, rows: slice | NDArray[Any]) -> Self:
        return type(self)(
            reward=self.reward[rows],
            propensity=self.propensity[rows],
            target=self.target[rows],
            predicted=self.predicted[rows],
            direct=self.direct[rows],
            thinning=self.thinning[rows],
        )


def dm(rounds: Rounds) -> F64:
    """Direct method: Σ_a π(a|x) q̂(x, a). As good as q̂, and no better."""
    return rounds.direct


def ips(rounds: Rounds) -> F64:
    """Inverse propensity score, w r. Horvitz & Thompson 1952."""
    return rounds.by_rows(lambda part: part.weight * part.reward)


def clipped_ips(rounds: Rounds, *, cap: float = 100.0) -> F64:
    """min(w, cap) r: less variance, biased towards zero. Bottou et al. 2013."""
    return rounds.by_rows(lambda part: np.minimum(part.weight, cap) * part.reward)


def snips(rounds: Rounds) -> F64:
    """Self-normalised IPS, Σ w r / Σ w, linearised. Swaminathan & Joachims 2015, eq. 8."""
    return ratio(ips(rounds), rounds.weight, rounds.thinning)


def mips(rounds: Rounds, *, group_target: F64, group_propensity: F64) -> F64:
    """Marginal IPS: r times the ratio with which both policies choose *an* arm of the logged one's group, (n,) each.
    Smaller weights with many arms; unbiased where arms of a group earn alike. Saito & Joachims 2022, eq. 6."""
    return column(len(rounds), lambda rows: group_target[rows] / group_propensity[rows] * rounds.reward[rows])


def dr(rounds: Rounds) -> F64:
    """Doubly robust: DM + w (r − q̂). Dudík, Langford & Li 2011, eq. 2."""
    return rounds.by_rows(lambda part: part.direct + residual(part))


def residual(rounds: Rounds) -> F64:
    """What DR adds to DM, w (r − q̂)."""
    return rounds.by_rows(lambda part: part.weight * (part.reward - part.predicted))


def sndr(rounds: Rounds) -> F64:
    """DR with self-normalised weights: mean DM + Σ w (r − q̂) / Σ w, linearised."""
    shift = ratio(residual(rounds), rounds.weight, rounds.thinning)
    return column(len(rounds), lambda rows: rounds.direct[rows] + shift[rows])


def switch_dr(rounds: Rounds, *, threshold: float = 100.0) -> F64:
    """DR where w ≤ threshold, DM elsewhere. Wang, Agarwal & Dudík 2017. For reports: its intervals do not hold."""
    return rounds.by_rows(lambda part: part.direct + np.where(part.weight <= threshold, residual(part), 0.0))


def dr_os(rounds: Rounds, *, shrinkage: float = 100.0) -> F64:
    """DR with optimistic shrinkage, λ w / (w² + λ). Su et al. 2020, eq. 7. For reports: its intervals do not hold."""
    return rounds.by_rows(lambda part: part.direct + residual(part) * (shrinkage / (part.weight**2 + shrinkage)))


def lift(estimator: "Estimator", candidate: Rounds, champion: Rounds) -> F64:
    """Returns (n,) what one policy earns more than the other on the same rounds, of the log before it was thinned."""
    one, other = estimator(candidate), estimator(champion)
    return unthinned(column(len(one), lambda rows: one[rows] - other[rows]), candidate.thinning)


Estimator = Callable[[Rounds], F64]
ESTIMATORS: dict[str, Estimator] = {"dm": dm, "ips": ips, "snips": snips, "dr": dr}


def ratio(top: F64, bottom: F64, thinning: F64) -> F64:
    """Values with mean Σ top / Σ bottom and the delta method's spread: v + (top − v bottom) / mean(bottom).

    All weights zero means the log says nothing of this policy: 0, as IPS would."""
    n, below = len(top), _dot(thinning, bottom)
    if below == 0.0:
        return column(n, lambda rows: np.zeros_like(top[rows]))
    value, scale = _dot(thinning, top) / below, total(n, lambda rows: thinning[rows]) / below
    return column(n, lambda rows: value + (top[rows] - value * bottom[rows]) * scale)


def unthinned(values: F64, thinning: F64) -> F64:
    """Values of the log before it was thinned: mean Σ ω ψ / Σ ω, linearised. The identity when nothing was."""
    n = len(values)
    if total(n, lambda rows: thinning[rows] != thinning[0]) == 0.0:
        return values
    once = mean(thinning)
    centre = _dot(thinning, values) / (n * once)
    return column(n, lambda rows: centre + (values[rows] - centre) * (thinning[rows] / once))


def _dot(a: F64, b: F64) -> float:
    return total(len(a), lambda rows: np.atleast_1d(a[rows] @ b[rows]))


def effective_sample_size(weight: F64) -> float:
    """(Σ w)² / Σ w²: how many equally weighted rounds these are worth. Kong 1992."""
    square = _dot(weight, weight)
    return total(len(weight), lambda rows: weight[rows]) ** 2 / square if square > 0 else 0.0


def design_effect(deviations: F64, unit: I64) -> float:
    """φ = Σ_units (Σ d)² / Σ d², at least 1: how many times as much the mean varies as if a unit's rows were
    independent (Kish 1965; the variance is Liang & Zeger's, 1986). `unit` (n,) numbers the rows' units from 0."""
    together = np.square(by_number(unit, deviations)).sum()
    return max(1.0, float(together / max(squares(deviations), 1e-300)))


def jackknife_effect(values: F64, unit: I64) -> float:
    """The design effect of the mean of these values, with each unit's deviations divided by 1 − its share of the rows.

    A unit of many rows pulls the mean to itself, and its deviations shrink by that factor (CR3; MacKinnon & White 1985,
    for clusters Bell & McCaffrey 2002). Infinite where one unit has all rows."""
    rows, middle = counted(unit), mean(values)
    if rows.max() == len(unit) > 1:
        return inf
    together = by_number(unit, values, middle) / np.maximum(1.0 - rows / len(unit), 1.0 / len(unit))
    return max(1.0, float(np.square(together).sum() / max(squares(values, middle), 1e-300)))


def effective_units(unit: I64) -> float:
    """(Σ n)² / Σ n² of the units' rows n: how many units of equal activity these are worth."""
    return effective_sample_size(counted(unit).astype(np.float64))


def largest_share(weight: F64) -> float:
    """The heaviest round's share of the sum of weights; 1 when all are zero."""
    whole = total(len(weight), lambda rows: weight[rows])
    return float(weight.max()) / whole if whole > 0 else 1.0


@dataclass(frozen=True, slots=True)
class Moments:
    """n, mean and M2 = Σ (x − mean)²: they add, without the cancellation of sums of squares."""

    n: float = 0.0
    mean: float = 0.0
    m2: float = 0.0

    @classmethod
    def of(cls, values: F64) -> Self:
        """Returns the moments of values (n,)."""
        middle = mean(values)
        return cls(float(len(values)), middle, squares(values, middle))

    def __add__(self, other: Self) -> Self:
        """Chan, Golub & LeVeque 1979."""
        n = self.n + other.n
        if n == 0:
            return self
        delta = other.mean - self.mean
        middle = self.mean + delta * other.n / n
        return type(self)(n, middle, self.m2 + other.m2 + delta * delta * self.n * other.n / n)

    @property
    def variance(self) -> float:
        """The variance of one value, unbiased; infinite for fewer than two."""
        return self.m2 / (self.n - 1) if self.n > 1 else float("inf")

    @property
    def standard_error(self) -> float:
        """The standard error of the mean; infinite below two values."""
        return float(np.sqrt(self.variance / self.n)) if self.n > 1 else float("inf")
