"""Two nested models of the reward: all that a linear policy can express, and the same with a random hidden layer.

With u the inputs (context and pair, standardised) and v the arms' own directions, the linear model has the columns
arm, u ⊗ (1, v); the nonlinear one has max(0, W u + b) ⊗ (1, v) beside, for a fixed random (W, b): a network of one
hidden layer whose output alone is trained (Rahimi & Recht 2008, "Weighted Sums of Random Kitchen Sinks"). Both are
ridge regressions by the same rule on the same rows, so that a better loss of the second is owed to the bends alone.
The linear one is also fitted on every other row: what twice the rows are worth to it.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np

from croupier.features.batch import F32, F64, I64, Interactions
from croupier.models.ope.reward_model import arm_bases, arm_columns, directions, moments, solved

HIDDEN = 64
INPUTS = 96  # principal directions of wider inputs, for both models
COLUMNS = 1200  # of both models together, which bounds how many of the arms' directions are crossed
GAIN = 1.5  # of W: bends lie within the standardised inputs' range
FARTHEST = 5.0  # standard deviations
BLOCK = 4096


@dataclass(frozen=True, kw_only=True, eq=False)
class Inputs:
    """How a request and an arm become columns: `middle` (d,) and `project` (d, p) of the inputs, `W` (p, HIDDEN), `b`
    (HIDDEN,), `arms` (A, ·) the arms' own columns, `crossed` (A, 1 + e) what inputs are multiplied with."""

    middle: F64
    project: F64
    W: F64
    b: F64
    arms: F64
    crossed: F64

    @classmethod
    def of(cls, log: Interactions, rng: np.random.Generator) -> Self:
        """Takes scales and directions from a log's shown arms; W and b are drawn from `rng`."""
        _, pair = log.shown
        raw = _joined(log.batch.context, pair)
        spread = raw.std(axis=0)
        scale = np.where(spread > 1e-9, spread, np.inf)
        known = np.flatnonzero(spread > 1e-9)
        project = np.eye(len(scale))[:, known] / scale[known] if len(known) <= INPUTS else directions(raw, INPUTS)
        p, arms = project.shape[1], arm_columns(log.batch.catalogue)
        bases = arm_bases(arms)[:, : max(COLUMNS // (p + HIDDEN) - 1, 0)]
        return cls(
            middle=raw.mean(axis=0),
            project=project,
            W=GAIN * rng.standard_normal((p, HIDDEN)) / np.sqrt(max(p, 1)),
            b=rng.standard_normal(HIDDEN),
            arms=arms,
            crossed=np.hstack([np.ones((len(arms), 1)), bases]),
        )

    @property
    def linear(self) -> int:
        """How many of the columns, the first ones, are the linear model's."""
        return self.arms.shape[1] + self.project.shape[1] * self.crossed.shape[1]

    def columns(self, context: F32, row: I64, pair: F32) -> F64:
        """Returns (n, D) the columns of requests with context (n, d_u) and arms `row` (n,), pair (n, d_p)."""
        u = np.clip((_joined(context, pair) - self.middle) @ self.project, -FARTHEST, FARTHEST)
        v = self.crossed[row]
        bent = np.maximum(u @ self.W + self.b, 0.0)
        parts = [(x[:, :, None] * v[:, None, :]).reshape(len(u), -1) for x in (u, bent)]
        return np.hstack([self.arms[row], *parts])


@dataclass(frozen=True, kw_only=True, eq=False)
class Nested:
    """The models, fitted: `weights` are (bias, (D,)) of the linear one, of the nonlinear one, and of the linear one of
    half the rows."""

    inputs: Inputs
    weights: tuple[tuple[float, F64], tuple[float, F64], tuple[float, F64]]
    limits: tuple[float, float]

    @classmethod
    def fit(cls, log: Interactions, rng: np.random.Generator) -> Self:
        """Fits them on the shown arms of a log."""
        inputs = Inputs.of(log, rng)
        half, other = (_moments(inputs, log[k::2]) for k in (0, 1))
        n, mean, moment = both = _added(half, other)
        low, high = float(log.reward.min()), float(log.reward.max())
        weights = _linear(inputs, both), solved(n, mean, moment), _linear(inputs, half)
        return cls(inputs=inputs, weights=weights, limits=(2 * low - high, 2 * high - low))

    def predict(self, log: Interactions) -> F64:
        """Returns what each of the models expects, (3, n, K), of every candidate; −∞ where masked."""
        out = np.full((len(self.weights), *log.batch.mask.shape), -np.inf)
        where = np.argwhere(log.batch.mask)
        for start in range(0, len(where), BLOCK):
            i, j = where[start : start + BLOCK].T
            made = self.inputs.columns(log.batch.context[i], log.batch.arm[i, j], log.batch.pair[i, j])
            for k, (bias, weight) in enumerate(self.weights):
                out[k, i, j] = np.clip(bias + made @ weight, *self.limits)
        return out


Sums = tuple[float, F64, F64]  # n, means and centred second moments, as `moments` gives them


def _moments(inputs: Inputs, log: Interactions) -> Sums:
    blocks = (log[start : start + BLOCK] for start in range(0, len(log), BLOCK))
    return moments((inputs.columns(part.batch.context, *part.shown), part.reward, part.weight) for part in blocks)


def _added(a: Sums, b: Sums) -> Sums:
    """Chan, Golub & LeVeque 1979, eq. 2.1."""
    n, delta = a[0] + b[0], b[1] - a[1]
    return n, a[1] + delta * (b[0] / n), a[2] + b[2] + np.outer(delta, delta) * (a[0] * b[0] / n)


def _linear(inputs: Inputs, sums: Sums) -> tuple[float, F64]:
    """Returns (bias, (D,)) of the linear columns alone; the others weigh nothing."""
    n, mean, moment = sums
    kept = [*range(inputs.linear), len(mean) - 1]
    bias, weight = solved(n, mean[kept], moment[np.ix_(kept, kept)])
    return bias, np.concatenate([weight, np.zeros(len(mean) - 1 - inputs.linear)])


def _joined(context: F32, pair: F32) -> F64:
    return np.hstack([context, pair]).astype(np.float64)
