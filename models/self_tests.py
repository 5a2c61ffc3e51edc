"""Is the log what it says it is? No second log is needed: the logged pmf says what the draws must look like.

Whatever f is, the chosen arm's f(x, A) − Σ_a p(a|x) f(x, a) has mean zero if A was drawn from p after x was known.
`propensity` takes an f of the propensities alone; `leak` an f of the features: a feature computed *after* the decision
(the reward itself, a cart total) depends on the arm drawn, and then no estimate on this log means anything.
"""

from dataclasses import replace

import numpy as np
from scipy.stats import norm

from features.batch import F64, I64, Bool, Interactions
from models.reward_model import RewardModel

SUSPECTS = 3  # context features tested for a leak: those that say most about the reward
LEAK_ROWS = 20_000
ROUNDING = 2e-6  # probabilities this near are the same: logs of six digits, or of float32


def propensity_values(log: Interactions) -> F64:
    """(n, 2), each column with mean zero: 1/(K p) − 1, K counting the arms of p > 0, and whether the likeliest arm was
    drawn, less its probability.

    The first finds a wrong floor in the rare draws, the second in the frequent ones; a log that knows the drawn arm's
    probability only has just the first."""
    rows, top = np.arange(len(log)), _likeliest(log.pmf)
    ratio = 1.0 / (_drawable(log).sum(axis=1) * log.propensity) - 1.0
    if not knows_whole_pmf(log):
        return np.asarray(ratio[:, None])
    return np.column_stack([ratio, (log.chosen == top) - log.pmf[rows, top]])


def propensity_spread(log: Interactions) -> F64:
    """(2,) standard deviations of the same columns where the log tells the truth: √(Σ 1/p / K² − 1) and √(p(1 − p))."""
    drawable, top = _drawable(log), log.pmf.max(axis=1)
    inverse = np.where(drawable, 1.0 / np.where(drawable, log.pmf, 1.0), 0.0).sum(axis=1)
    variance = np.stack([inverse / drawable.sum(axis=1) ** 2 - 1.0, top * (1.0 - top)], axis=1)
    return np.asarray(np.sqrt(np.maximum(variance, 0.0).mean(axis=0)))


def _likeliest(pmf: F64) -> I64:
    """The first arm within rounding of the likeliest: of arms that tie, the last bit may know which was drawn."""
    return np.asarray((pmf >= pmf.max(axis=1, keepdims=True) - ROUNDING).argmax(axis=1))


def _drawable(log: Interactions) -> Bool:
    return log.batch.mask & (log.pmf > 0)


def knows_whole_pmf(log: Interactions) -> bool:
    """False where every row spreads the rest of its mass evenly over the arms not drawn, and the log is not uniform:
    an imported log with one propensity a row (features/record.py, `spread`). A real policy's greedy arm is sometimes
    not the one drawn, and then the others differ."""
    mask, rows = log.batch.mask, np.arange(len(log))
    drawn = np.arange(mask.shape[1]) == log.chosen[:, None]
    rest = np.where(mask & ~drawn, log.pmf, np.nan)[mask.sum(axis=1) > 2]
    if len(rest) == 0:
        return True
    even = np.nanmax(rest, axis=1) - np.nanmin(rest, axis=1) < 1e-9
    uniform = np.abs(log.pmf[rows, log.chosen] - 1.0 / mask.sum(axis=1)) < ROUNDING
    return bool(not even.all() or uniform.all())


def p_value(values: F64, expected: F64 | float = 0.0, slack: F64 | float = 0.0) -> float:
    """Smallest two-sided p of the columns' means (n, m) being zero, times how many independent tests they amount to.
    A column without spread (a rare arm that never came up yet) is held against the `expected` standard deviation, and
    where that is 0 as well it must be zero itself. `slack`: what rounding may have added to each mean."""
    if values.shape[1] == 0:
        return 1.0
    mean, found = values.mean(axis=0), values.std(axis=0, ddof=1)
    spread = np.where(found > 1e-9, found, expected)
    mean = np.maximum(np.abs(mean) - slack, 0.0)
    z = mean / np.maximum(spread / np.sqrt(len(values)), 1e-12)
    p = np.where(spread > 1e-9, 2 * norm.sf(z), (mean < 1e-6).astype(float))
    return float(min(1.0, _independent(values[:, found > 1e-9]) * p.min()))


def _independent(values: F64) -> float:
    """1 + (m − 1)(1 − Var(λ) / m), λ the eigenvalues of the m columns' correlations (Cheverud 2001): m where they are
    uncorrelated, 1 where they say the same."""
    m = values.shape[1]
    if m < 2:
        return 1.0
    return 1.0 + (m - 1) * (1.0 - float(np.var(np.linalg.eigvalsh(np.corrcoef(values.T)), ddof=1)) / m)


def propensity(log: Interactions) -> float:
    """p-value that the logged propensities are those of the draws."""
    values = propensity_values(log)
    p = log.propensity  # 1/(K p) moves by this much where p was rounded; a tiny p by a part of it only
    moved = (np.minimum(ROUNDING, 1e-4 * p) / (_drawable(log).sum(axis=1) * p**2)).mean()
    slack = np.array([moved, ROUNDING])
    return p_value(values, propensity_spread(log)[: values.shape[1]], slack[: values.shape[1]])


def leak(log: Interactions) -> tuple[float, int]:
    """(p-value that no feature was computed after the draw, column most suspected): context columns first, then those
    of pairs; −1 where there are none. Small p: leave that feature out, or log it before deciding."""
    log = log[:LEAK_ROWS]
    if len(log) < 100 or np.all(log.reward == log.reward[0]) or not knows_whole_pmf(log):
        return 1.0, -1
    context = log.batch.context.astype(np.float64)
    columns = [_gap(context[:, [j]] * _without(log, j), log) for j in _suspects(context, log.reward)]
    columns += [_gap(log.batch.pair[:, :, j].astype(np.float64), log) for j in range(log.batch.pair.shape[2])]
    names = [*_suspects(context, log.reward), *(context.shape[1] + np.arange(log.batch.pair.shape[2]))]
    if not columns:
        return 1.0, -1
    values = np.column_stack(columns)
    score = np.abs(values.mean(axis=0)) / np.maximum(values.std(axis=0), 1e-12)
    return p_value(values), int(names[int(score.argmax())])


def calibration(log: Interactions, *, bins: int = 10) -> list[dict[str, float]]:
    """Over all (round, arm) pairs in bins of the logged probability: its mean, how often such arms were drawn, and
    how many pairs. Mean and frequency agree in a log that tells the truth."""
    drawn = np.arange(log.pmf.shape[1]) == log.chosen[:, None]
    p, hit = log.pmf[log.batch.mask], drawn[log.batch.mask]
    edges = np.unique(np.quantile(p, np.linspace(0, 1, bins + 1)))
    place = np.clip(np.searchsorted(edges, p, side="right") - 1, 0, max(len(edges) - 2, 0))
    count = np.bincount(place)
    mean, rate = np.bincount(place, p), np.bincount(place, hit)
    return [{"pmf": float(m / c), "frequency": float(r / c), "pairs": float(c)}
            for m, r, c in zip(mean, rate, count, strict=True) if c]  # fmt: skip


def _suspects(context: F64, reward: F64) -> list[int]:
    spread = context.std(axis=0)
    covariance = np.abs((context - context.mean(axis=0)).T @ (reward - reward.mean()))
    score = np.where(spread > 1e-9, covariance / np.where(spread > 1e-9, spread, 1.0), -1.0)
    return [int(j) for j in np.argsort(-score)[:SUSPECTS] if score[j] > 0]


def _without(log: Interactions, column: int) -> F64:
    """q̂ (n, K) that never saw this column, each half from the other: what the column may not know of the draw."""
    context = log.batch.context.copy()
    context[:, column] = 0.0
    blind = replace(log, batch=replace(log.batch, context=context))
    half, predicted = np.arange(len(log)) % 2, np.zeros(log.pmf.shape)
    for k in (0, 1):
        if not np.all(log.reward[half != k] == log.reward[half != k][0]):
            predicted[half == k] = RewardModel.fit(blind[half != k]).predict(blind.batch[half == k])
    return predicted


def _gap(f: F64, log: Interactions) -> F64:
    """f (n, K) at the arm drawn, less its mean under the logged pmf: (n,), mean zero."""
    return np.asarray(f[np.arange(len(log)), log.chosen] - (log.pmf * np.where(log.batch.mask, f, 0.0)).sum(axis=1))
