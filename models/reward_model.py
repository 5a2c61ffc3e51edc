"""q̂(x, a): the reward model that DM and DR lean on, cross-fitted, and never the learner under judgement.

A ridge regression (scikit-learn) on [context, arm, pair, context ⊗ arm], because it is unbiased for a mean at any
reward scale, learns rare clicks without crashing on a fold that has none, and scores n × A pairs as two matrix
products. Each row is predicted by a model that saw neither its unit (where units repeat) nor its stretch of time.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from sklearn.linear_model import Ridge, RidgeCV

from features.batch import F64, I64, Batch, Interactions

FIT_ROWS = 50_000  # q̂ only lowers variance: more rows than these cost time and memory, and change little
TUNE_ROWS = 5_000
CROSS_COLUMNS = 256  # of context ⊗ arm
PENALTIES = np.logspace(0, 6, 7)


@dataclass(frozen=True, kw_only=True, eq=False)
class RewardModel:
    """score = bias + x·context + E_a·arm + pair·pair + (x U)ᵀ cross E_a V, clipped to the rewards it saw.

    context (d_u,), arm (A,) the arm's whole share, pair (d_p,), project (d_u, c), cross (c, A); limits (2,)."""

    bias: float
    context: F64
    arm: F64
    pair: F64
    project: F64
    cross: F64
    limits: tuple[float, float]

    @classmethod
    def fit(cls, log: Interactions, *, seed: int = 0) -> Self:
        rng = np.random.default_rng(seed)
        if len(log) > FIT_ROWS:
            log = log[np.sort(rng.choice(len(log), FIT_ROWS, replace=False))]
        x, arms, pairs = log.batch.context.astype(np.float64), _arm_columns(log.batch), _chosen_pair(log)
        bases = _arm_bases(arms)
        project = _directions(x, max(1, min(CROSS_COLUMNS, len(log) // 20) // max(bases.shape[1], 1)))
        row = log.batch.arm[np.arange(len(log)), log.chosen]
        products = (x @ project)[:, :, None] * bases[row][:, None, :]
        columns = np.hstack([x, arms[row], pairs, products.reshape(len(log), -1)])
        bias, weight = _ridge(columns, log.reward, log.weight, rng)
        w_x, w_a, w_p, w_c = np.split(weight, np.cumsum([x.shape[1], arms.shape[1], pairs.shape[1]]))
        return cls(
            bias=bias, context=w_x, arm=arms @ w_a, pair=w_p, project=project,
            cross=w_c.reshape(project.shape[1], bases.shape[1]) @ bases.T,
            limits=(float(log.reward.min()), float(log.reward.max())),
        )  # fmt: skip

    def predict(self, batch: Batch) -> F64:
        """q̂ (B, K); 0 where masked. Rows go in blocks, so that B × A never stands in memory whole."""
        step = max(64, 2_000_000 // max(len(self.arm), batch.arm.shape[1]))
        blocks = [self._predict(batch[start : start + step]) for start in range(0, len(batch), step)]
        return np.concatenate(blocks) if blocks else np.zeros(batch.arm.shape)

    def _predict(self, batch: Batch) -> F64:
        x = batch.context.astype(np.float64)
        catalogue = self.bias + (x @ self.context)[:, None] + self.arm + (x @ self.project) @ self.cross
        score = np.take_along_axis(catalogue, batch.arm, axis=1) + batch.pair @ self.pair
        return np.where(batch.mask, np.clip(score, *self.limits), 0.0)


def cross_fit(log: Interactions, *, folds: int = 3, seed: int = 0) -> F64:
    """q̂ (n, K), each row from a model that did not see its fold. A fold without variety in rewards, or a log of a
    single fold, gives the mean of the rest."""
    fold, predicted = fold_of(log, folds), np.zeros(log.batch.arm.shape)
    for k in range(folds):
        inside = fold == k
        if not inside.any():
            continue
        rest = log[~inside] if not inside.all() else log
        if np.all(rest.reward == rest.reward[0]):
            predicted[inside] = np.where(log.batch.mask[inside], rest.reward[0], 0.0)
        else:
            predicted[inside] = RewardModel.fit(rest, seed=seed + k).predict(log.batch[inside])
    return predicted


def fold_of(log: Interactions, folds: int) -> I64:
    """(n,) fold of each row: by unit where units repeat (a unit's rows stay together), else by stretch of time."""
    unit, count = np.unique(log.unit, return_counts=True)
    if len(unit) >= 10 * folds and count.max() > 1:
        return (log.unit % np.uint64(folds)).astype(np.int64)
    fold = np.empty(len(log), np.int64)
    fold[np.argsort(log.at, kind="stable")] = np.arange(len(log)) * folds // len(log)
    return fold


def quality(log: Interactions, predicted: F64) -> dict[str, float]:
    """Out of fold: r2 (0 is no better than the mean), and mean prediction beside mean reward (calibration at large)."""
    q = predicted[np.arange(len(log)), log.chosen]
    total = float(np.square(log.reward - log.reward.mean()).sum())
    r2 = 1 - float(np.square(log.reward - q).sum()) / total if total > 0 else 0.0
    return {"r2": r2, "mean_predicted": float(q.mean()), "mean_reward": float(log.reward.mean())}


def _chosen_pair(log: Interactions) -> F64:
    return np.asarray(log.batch.pair[np.arange(len(log)), log.chosen], np.float64)


def _arm_columns(batch: Batch) -> F64:
    """(A, ·) what is known of an arm: its features, and which arm it is where the catalogue is small."""
    features = batch.catalogue.features.astype(np.float64)
    return np.hstack([features, np.eye(len(features))]) if len(features) <= 128 else features


def _arm_bases(arms: F64) -> F64:
    """(A, ≤ 16) the arms' own directions, orthogonal: what the context is crossed with."""
    return np.asarray((arms - arms.mean(axis=0)) @ _directions(arms, 16))


def _directions(columns: F64, count: int) -> F64:
    """(d, ≤ count) principal directions of standardised columns, scaled to unit variance of the projection."""
    centred = columns - columns.mean(axis=0)
    spread = centred.std(axis=0)
    scaled = centred / np.where(spread > 1e-9, spread, np.inf)
    value, vector = np.linalg.eigh(scaled.T @ scaled / max(len(columns), 1))
    keep = np.flatnonzero(value > 1e-9)[::-1][:count]
    return np.asarray((vector[:, keep] / np.sqrt(value[keep])) / np.where(spread > 1e-9, spread, np.inf)[:, None])


def _ridge(columns: F64, reward: F64, weight: F64, rng: np.random.Generator) -> tuple[float, F64]:
    """(bias, weights) on the raw columns. The penalty is chosen by leave-one-out error on a sample."""
    centre, spread = columns.mean(axis=0), columns.std(axis=0)
    scale = np.where(spread > 1e-9, spread, np.inf)
    scaled = (columns - centre) / scale
    sample = np.sort(rng.choice(len(reward), min(len(reward), TUNE_ROWS), replace=False))
    varied = bool(np.any(reward[sample] != reward[sample[0]]))
    penalty = RidgeCV(alphas=PENALTIES).fit(scaled[sample], reward[sample]).alpha_ if varied else PENALTIES[-1]
    model = Ridge(alpha=float(penalty), solver="cholesky").fit(scaled, reward, sample_weight=weight)
    weights = np.asarray(model.coef_, np.float64) / scale
    return float(model.intercept_ - centre @ weights), weights
