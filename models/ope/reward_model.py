"""q̂(x, a): the reward model that DM and DR lean on, cross-fitted, and never the learner under judgement.

A ridge regression on [context, arm, pair, context ⊗ arm], because it is unbiased for a mean at any reward scale, learns
rare clicks without crashing on a fold that has none, and scores n × A pairs as two matrix products. Its normal
equations add over blocks of rows, and one eigendecomposition (LAPACK's) gives every penalty and its generalised
cross-validation. Each row is predicted by a model that saw neither its unit (where units repeat) nor its stretch of
time.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from croupier.features.batch import F32, F64, I64, Batch, Bool, Catalogue, Floats, Interactions, concatenate
from croupier.features.encoded.columns import column, counted, mean, numbered, places, rising, squares, total
from croupier.features.encoded.on_disk import blocks, zeros

FIT_ROWS = 50_000  # q̂ only lowers variance: more rows than these cost time and memory, and change little
BLOCK = 4096
CROSS_COLUMNS = 256  # of context ⊗ arm
SCANNED = 4096  # arms of a catalogue that are all scored for each request: one matrix product
LARGEST_REWARD = 1e30  # its square is no end of the world, in single precision it is a number
PENALTIES = np.logspace(0, 6, 7)


@dataclass(frozen=True, kw_only=True, eq=False)
class RewardModel:
    """score = bias + x·context + E_a·arm + pair·pair + (x U)ᵀ cross E_a V, clipped a range beyond the rewards it saw.

    Clipping at the rewards themselves would lift the mean of predictions for rare rewards, and DM with it.

    context (d_u,), arm (A,) the arm's whole share, pair (d_p,), project (d_u, c), cross (c, A); limits (2,)."""

    bias: float
    context: F64
    arm: F64
    pair: F64
    project: F64
    cross: F64
    limits: tuple[float, float]
    of_arms: "ArmTerms"

    @classmethod
    def fit(cls, log: Interactions) -> Self:
        """Fits the model on a log."""
        arms, n = arm_columns(log.batch.catalogue), len(log)
        bases = arm_bases(arms)
        count = max(1, min(CROSS_COLUMNS, n // 20) // max(bases.shape[1], 1))
        project = directions(log.batch.context[:: max(1, n // 10_000)].astype(np.float64), count)
        blocks = (log[start : start + BLOCK] for start in range(0, n, BLOCK))
        bias, weight = _ridge((_columns(part, arms, bases, project), part.reward, part.weight) for part in blocks)
        sizes = [log.batch.context.shape[1], arms.shape[1], log.batch.pair.shape[2]]
        w_x, w_a, w_p, w_c = np.split(weight, np.cumsum(sizes))
        crossed = w_c.reshape(project.shape[1], bases.shape[1])
        terms = ArmTerms(alone=w_a, middle=arms.mean(axis=0), directions=directions(arms, 16), crossed=crossed)
        arm, cross = terms.of(log.batch.catalogue)
        size = log.batch.catalogue.size
        return cls(
            bias=bias,
            context=w_x,
            arm=arm[:size],
            pair=w_p,
            project=project,
            cross=cross[:, :size],
            limits=_limits(log.reward),
            of_arms=terms,
        )

    def predict(self, batch: Batch) -> F64:
        """q̂ (B, K); 0 where masked. Rows go in blocks, so that B × A never stands in memory whole; of a catalogue that
        is much longer than lists of candidates these alone are scored."""
        inline = (self.arm, self.cross) if len(self.arm) > SCANNED else None
        inline = inline if batch.catalogue.published is None else self.of_arms.of(batch.catalogue)
        wide = len(self.arm) if inline is None else batch.arm.shape[1] * len(self.cross)
        step = max(64, 2_000_000 // max(wide, batch.arm.shape[1]))
        blocks = [self._predict(batch[start : start + step], inline) for start in range(0, len(batch), step)]
        return np.concatenate(blocks) if blocks else np.zeros(batch.arm.shape)

    def _predict(self, batch: Batch, inline: tuple[F64, F64] | None) -> F64:
        """`inline`: each arm's terms, where there may be many more arms than a block's candidates."""
        x = batch.context.astype(np.float64)
        if inline is None:
            catalogue = self.bias + (x @ self.context)[:, None] + self.arm + (x @ self.project) @ self.cross
            score = np.take_along_axis(catalogue, batch.arm, axis=1)
        else:
            crossed = np.einsum("bkc,bc->bk", inline[1].T[batch.arm], x @ self.project)
            score = self.bias + (x @ self.context)[:, None] + inline[0][batch.arm] + crossed
        score = score + batch.pair @ self.pair
        return np.where(batch.mask, np.clip(score, *self.limits), 0.0)


@dataclass(frozen=True, kw_only=True, eq=False)
class ArmTerms:
    """What an arm's columns (d,) add, by which arms are scored that were in no log: alone (d,), and crossed (c, e) with
    the context by their place among `directions` (d, e) from the `middle` (d,)."""

    alone: F64
    middle: F64
    directions: F64
    crossed: F64

    def of(self, catalogue: Catalogue) -> tuple[F64, F64]:
        """Returns an arm's share (A,), and its product with the context's projection (c, A)."""
        arms = arm_columns(catalogue)
        return arms @ self.alone, self.crossed @ ((arms - self.middle) @ self.directions).T


def _limits(reward: F64) -> tuple[float, float]:
    """The rewards' range, with as much again on either side."""
    low, high = float(reward.min()), float(reward.max())
    return low - (high - low), high + (high - low)


def cross_fit(log: Interactions, *, folds: int = 3, seed: int = 0) -> F32:
    """q̂ (n, K), each row from a model that did not see its fold. A fold without variety in rewards, or a log of a
    single fold, gives the mean of the rest. In single precision: any q̂ keeps DR unbiased, and this is the largest array
    that a gate holds. Raises ValueError for rewards that it cannot hold."""
    if not (largest := float(np.abs(log.reward).max())) < LARGEST_REWARD:
        raise ValueError(
            f"reward: found {largest:.3g} in size, expected less than {LARGEST_REWARD:g}: is it a mark "
            "for a missing reward, or in another unit?"
        )
    rng, fold = np.random.default_rng(seed), fold_of(log, folds)
    predicted = zeros(log.batch.arm.shape, np.float32)
    for k in range(folds):
        learnt = _picked(log, learnt_rows(fold, k, rng))
        constant = bool(np.all(learnt.reward == learnt.reward[0]))
        model = None if constant else RewardModel.fit(learnt)
        for part in blocks(len(log), folds * BLOCK):
            rows = part.start + np.flatnonzero(fold[part] == k)
            batch = log.batch[rows]
            predicted[rows] = model.predict(batch) if model else np.where(batch.mask, learnt.reward[0], 0.0)
    return predicted


def _picked(log: Interactions, rows: I64) -> Interactions:
    """These rows of a log, read some at a time: they lie anywhere in it."""
    return concatenate([log[rows[part]] for part in blocks(len(rows), BLOCK)])


def learnt_rows(fold: NDArray[np.int8], k: int, rng: np.random.Generator) -> I64:
    """Which rows a fold's model learns, rising: those of the other folds, of a log of one fold its own; or FIT_ROWS of
    them by chance."""
    n, alone = len(fold), bool(fold.min() == fold.max() == k)

    def learnt(rows: slice) -> Bool:
        return np.asarray((fold[rows] != k) | alone)

    count = int(total(n, learnt))
    if count <= FIT_ROWS:
        return places(n, learnt)
    asked, found, before = np.sort(rng.choice(count, FIT_ROWS, replace=False)), list[I64](), 0
    for rows in blocks(n):
        here = rows.start + np.flatnonzero(learnt(rows))
        found.append(here[asked[(asked >= before) & (asked < before + len(here))] - before])
        before += len(here)
    return np.concatenate(found)


def fold_of(log: Interactions, folds: int) -> NDArray[np.int8]:
    """Returns (n,) fold of each row: by unit where units repeat (a unit's rows stay together), else by stretch of
    time."""
    n, count = len(log), counted(numbered(log.unit)[1])
    if len(count) >= 10 * folds and count.max() > 1:
        return column(n, lambda rows: log.unit[rows] % np.uint64(folds), np.int8)
    stretch = column(n, lambda rows: np.arange(rows.start, rows.stop) * folds // n, np.int8)
    if rising(log.at):
        return stretch
    fold = np.empty(n, np.int8)
    fold[np.argsort(log.at, kind="stable")] = stretch
    return fold


def quality(log: Interactions, predicted: Floats) -> dict[str, float]:
    """Out of fold: r2 (0 is no better than the mean), and mean prediction beside mean reward (calibration at large)."""
    q, middle = of_drawn(log, predicted), mean(log.reward)
    spread = squares(log.reward, middle)
    r2 = 1 - total(len(log), lambda rows: np.square(log.reward[rows] - q[rows])) / spread if spread > 0 else 0.0
    return {"r2": r2, "mean_predicted": mean(q), "mean_reward": middle}


def of_drawn(log: Interactions, predicted: Floats) -> F64:
    """Returns (n,) q̂ of the arms that were drawn."""

    def of(rows: slice) -> Floats:
        chosen = log.chosen[rows]
        return np.asarray(predicted[rows][np.arange(len(chosen)), chosen])

    return column(len(log), of)


def _columns(part: Interactions, arms: F64, bases: F64, project: F64) -> F64:
    """Returns (n, D) context, arm, pair and context ⊗ arm of the logged arms."""
    x, rows = part.batch.context.astype(np.float64), np.arange(len(part))
    row = part.batch.arm[rows, part.chosen]
    products = (x @ project)[:, :, None] * bases[row][:, None, :]
    return np.hstack([x, arms[row], part.batch.pair[rows, part.chosen], products.reshape(len(part), -1)])


def arm_columns(catalogue: Catalogue) -> F64:
    """Returns (A, ·) what is known of an arm: its features, and which arm it is where the catalogue is small (of inline
    arms nobody knows that)."""
    features, size = catalogue.features.astype(np.float64), catalogue.size
    return np.hstack([features, np.eye(len(features), size)]) if size <= 128 else features


def arm_bases(arms: F64) -> F64:
    """Returns (A, ≤ 16) the arms' own directions, orthogonal: what the context is crossed with."""
    return np.asarray((arms - arms.mean(axis=0)) @ directions(arms, 16))


def directions(columns: F64, count: int) -> F64:
    """Returns (d, ≤ count) principal directions of standardised columns, scaled to unit variance of the projection."""
    centred = columns - columns.mean(axis=0)
    spread = centred.std(axis=0)
    scaled = centred / np.where(spread > 1e-9, spread, np.inf)
    value, vector = np.linalg.eigh(scaled.T @ scaled / max(len(columns), 1))
    keep = np.flatnonzero(value > 1e-9)[::-1][:count]
    return np.asarray((vector[:, keep] / np.sqrt(value[keep])) / np.where(spread > 1e-9, spread, np.inf)[:, None])


def _ridge(blocks: Iterable[tuple[F64, F64, F64]]) -> tuple[float, F64]:
    """Returns (bias, weights) on the raw columns, from blocks of (columns (n, D), reward (n,), weight (n,))."""
    return solved(*moments(blocks))


def moments(blocks: Iterable[tuple[F64, F64, F64]]) -> tuple[float, F64, F64]:
    """Returns the sum of weights, the means (D + 1,) of the columns and the reward, which is the last, and their
    centred second moments (D + 1, D + 1). Blocks add by Chan's rule (Chan, Golub & LeVeque 1979, eq. 2.1)."""
    n, mean, moment = 0.0, np.zeros(0), np.zeros((0, 0))
    for columns, reward, weight in blocks:
        table = np.column_stack([columns, reward])
        total = float(weight.sum())
        middle = weight @ table / total
        table -= middle
        own = (table * weight[:, None]).T @ table
        delta = middle - mean if n else np.zeros_like(middle)
        moment = moment + own + np.outer(delta, delta) * (n * total / (n + total)) if n else own
        mean = mean + delta * (total / (n + total)) if n else middle
        n += total
    return n, mean, moment


def solved(n: float, mean: F64, moment: F64) -> tuple[float, F64]:
    """Returns (bias, weights) of the ridge regression of these moments. The penalty is that of least generalised
    cross-validation, n RSS / (n − df)² (Golub, Heath & Wahba 1979)."""
    spread = np.sqrt(np.diagonal(moment)[:-1] / n)
    scale = np.where(spread > 1e-9, spread, np.inf)
    value, vector = np.linalg.eigh(moment[:-1, :-1] / np.outer(scale, scale))
    value, right = np.maximum(value, 0.0), vector.T @ (moment[:-1, -1] / scale)
    scores = []
    for penalty in PENALTIES:
        fitted = right / (value + penalty)
        residual = moment[-1, -1] - 2 * fitted @ right + fitted @ (value * fitted)
        scores.append(n * residual / max(n - 1 - float((value / (value + penalty)).sum()), 1.0) ** 2)
    weights = np.asarray(vector @ (right / (value + PENALTIES[int(np.argmin(scores))])) / scale)
    return float(mean[-1] - mean[:-1] @ weights), weights
