"""Is the log what it says it is? No second log is needed: the logged pmf says what the draws must look like.

Whatever f is, the chosen arm's f(x, A) − Σ_a p(a|x) f(x, a) has mean zero if A was drawn from p after x was known.
`propensity` takes an f of the propensities alone; `leak` an f of the features: a feature computed *after* the decision
(the reward itself, a cart total) depends on the arm drawn, and then no estimate on this log means anything.
"""

from dataclasses import replace
from typing import Any

import numpy as np
from scipy.stats import norm

from features.batch import F64, I64, Bool, Interactions
from models.off_policy import Rounds, effective_sample_size
from models.reward_model import RewardModel

ROUNDING = 1e-4  # of a logged probability, relatively: six digits, float32, or a percentage with two decimals
OUTCOME_R2 = 0.9  # of the reward by the context alone, whatever the arm: no honest context leaves the arm so little
FEW = 30  # rows that a value must have before it can be said to tell the reward
SUSPECTS = 3  # context features tested for a leak: those that say most about the reward
LEAK_ROWS = 20_000
BALANCED_ARMS = 5
CARRIED = 200.0  # rows that must carry a column's variance: fewer, of a rare value and a rare arm, have no normal limit


def propensity_values(log: Interactions) -> F64:
    """(n, 2), each column with mean zero: 1/(K p) − 1, K counting the arms of p > 0, and whether the likeliest arm was
    drawn, less its probability.

    The first finds a wrong floor in the rare draws, the second in the frequent ones; a log that knows the drawn arm's
    probability only has just the first."""
    rows, top = np.arange(len(log)), _likeliest(log)
    ratio = 1.0 / (_drawable(log).sum(axis=1) * log.propensity) - 1.0
    if not knows_whole_pmf(log):
        return np.asarray(ratio[:, None])
    return np.column_stack([ratio, (log.chosen == top) - log.pmf[rows, top]])


def _likeliest(log: Interactions) -> I64:
    """(n,) the arm of the greatest logged probability. Probabilities that differ by rounding alone are equal: the first
    of them is taken, since the last bit of (1 − p)/(K − 1) must not tell which arm was drawn."""
    top = log.pmf.max(axis=1, keepdims=True)
    return np.asarray((log.pmf >= top * (1.0 - ROUNDING)).argmax(axis=1), np.int64)


def propensity_spread(log: Interactions) -> F64:
    """(2,) standard deviations of the same columns where the log tells the truth: √(Σ 1/p / K² − 1) and √(p(1 − p))."""
    drawable, top = _drawable(log), log.pmf.max(axis=1)
    inverse = np.where(drawable, 1.0 / np.where(drawable, log.pmf, 1.0), 0.0).sum(axis=1)
    variance = np.stack([inverse / drawable.sum(axis=1) ** 2 - 1.0, top * (1.0 - top)], axis=1)
    return np.asarray(np.sqrt(np.maximum(variance, 0.0).mean(axis=0)))


def _drawable(log: Interactions) -> Bool:
    return log.batch.mask & (log.pmf > 0)


def knows_whole_pmf(log: Interactions) -> bool:
    """False where every row spreads the rest of its mass evenly over the arms not drawn, and the log is not uniform:
    an imported log with one propensity a row (features/exchange, `spread`). A real policy's greedy arm is sometimes
    not the one drawn, and then the others differ."""
    mask, rows = log.batch.mask, np.arange(len(log))
    drawn = np.arange(mask.shape[1]) == log.chosen[:, None]
    rest = np.where(mask & ~drawn, log.pmf, np.nan)[mask.sum(axis=1) > 2]
    if len(rest) == 0:
        return True
    even = np.nanmax(rest, axis=1) - np.nanmin(rest, axis=1) < 1e-9
    uniform = np.abs(log.pmf[rows, log.chosen] * mask.sum(axis=1) - 1.0) < 10 * ROUNDING
    return bool(not even.all() or uniform.all())


def p_value(values: F64, expected: F64 | float = 0.0, *, tolerance: float = 0.0) -> float:
    """Smallest two-sided p of the columns' means (n, m) being zero, times how many independent tests they amount to.
    A column without spread (a rare arm that never came up yet) is held against the `expected` standard deviation, and
    where that is 0 as well it must be zero itself. A mean within `tolerance` of zero is zero."""
    if values.shape[1] == 0:
        return 1.0
    mean, found = values.mean(axis=0), values.std(axis=0, ddof=1)
    spread = np.where(found > 1e-9, found, expected)
    excess = np.maximum(np.abs(mean) - tolerance, 0.0)
    z = excess / np.maximum(spread / np.sqrt(len(values)), 1e-12)
    p = np.where(spread > 1e-9, 2 * norm.sf(z), (excess < 1e-6).astype(float))
    return float(min(1.0, _independent(values[:, found > 1e-9]) * p.min()))


def _independent(values: F64) -> float:
    """1 + (m − 1)(1 − Var(λ) / m), λ the eigenvalues of the m columns' correlations (Cheverud 2001): m where they are
    uncorrelated, 1 where they say the same."""
    m = values.shape[1]
    if m < 2:
        return 1.0
    return 1.0 + (m - 1) * (1.0 - float(np.var(np.linalg.eigvalsh(np.corrcoef(values.T)), ddof=1)) / m)


def propensity(log: Interactions) -> float:
    """p-value that the logged propensities are those of the draws, up to rounding in the fifth digit."""
    values = propensity_values(log)
    return p_value(values, propensity_spread(log)[: values.shape[1]], tolerance=ROUNDING)


def leak(log: Interactions) -> tuple[float, int]:
    """(p-value that no feature was computed after the draw, column most suspected): context columns first, then those
    of pairs; −1 where there are none. Small p: leave that feature out, or log it before deciding.

    Three kinds are looked for. A context that all but says what the reward is, whatever the arm (`tells`): then p is 0.
    A context feature that goes with the arm drawn (`balance`): that needs the drawn arm's propensity alone, which every
    log has. Where the whole pmf is known: also what the reward model would learn of the draw from a feature, and the
    features of pairs."""
    log = log[:LEAK_ROWS]
    if len(log) < 100 or np.all(log.reward == log.reward[0]):
        return 1.0, -1
    context = log.batch.context.astype(np.float64)
    if (told := tells(context, log.reward, log.batch.arm[np.arange(len(log)), log.chosen])) >= 0:
        return 0.0, told
    suspects = _suspects(context, log.reward)
    tests = [balance(log, suspects)]
    if knows_whole_pmf(log):
        columns = [_gap(context[:, [j]] * _without(log, j), log) for j in suspects]
        columns += [_gap(log.batch.pair[:, :, j].astype(np.float64), log) for j in range(log.batch.pair.shape[2])]
        tests.append((columns, [*suspects, *(context.shape[1] + np.arange(log.batch.pair.shape[2]))]))
    found = [_worst(columns, names) for columns, names in tests if columns]
    if not found:
        return 1.0, -1
    p, suspect = min(found)
    return min(1.0, len(found) * p), suspect


def agreement(*seen: Rounds) -> float:
    """p-value that DR and IPS of these policies estimate the same values, as two unbiased estimators do.

    DR − IPS = Σ_a π(a|x) q̂(x, a) − w q̂(x, A) has mean zero for any q̂ that was fixed before the draw. Where q̂ leans on a
    feature that was made after the draw it has not: two estimators that exclude each other are themselves a test."""
    columns = [s.direct - s.weight * s.predicted for s in seen]
    return p_value(np.column_stack([c / max(float(c.std()), 1e-12) for c in columns]))


def _worst(columns: list[F64], names: list[Any]) -> tuple[float, int]:
    """(p-value of all columns' means being zero, name of the one that is least so)."""
    values = np.column_stack(columns)
    score = np.abs(values.mean(axis=0)) / np.maximum(values.std(axis=0), 1e-12)
    return p_value(values), int(names[int(score.argmax())])


def balance(log: Interactions, suspects: list[int]) -> tuple[list[F64], list[int]]:
    """Columns (n,) of mean zero if these context features were known before the draw, and whose they are:
    (1{A = a} / p − 1) (f − mean f) for the arms a drawn most often among those always offered.

    E[1{A = a} / p | x] = 1 for every x, so f is as frequent among the rows of a, weighted by 1/p, as among all (the
    covariate balance of Rosenbaum & Rubin 1983). A price *of the shown arm*, or what the user paid, is not."""
    n = len(log)
    drawn = log.batch.arm[np.arange(n), log.chosen]
    offered = np.bincount(log.batch.arm[log.batch.mask], minlength=len(log.batch.catalogue.ids))
    often = [int(a) for a in np.argsort(-np.bincount(drawn)) if offered[a] == n][:BALANCED_ARMS]
    columns, names = [], []
    for j in suspects:
        f = log.batch.context[:, j].astype(np.float64)
        centred = (f - f.mean()) / max(float(f.std()), 1e-12)
        for a in often:
            column = np.asarray(((drawn == a) / log.propensity - 1.0) * np.clip(centred, -5.0, 5.0))
            if effective_sample_size(np.square(column)) >= CARRIED:
                columns.append(column)
                names.append(j)
    return columns, names


def tells(context: F64, reward: F64, arm: I64) -> int:
    """The context column that all but says what the reward is, whichever arm was drawn; −1 if there is none.

    Either the context alone explains OUTCOME_R2 of the reward's variance on rows that the regression has not seen, or
    one column's uncommon values come with uncommon rewards alone: an order's value, filled only where there was one."""
    if len(np.unique(arm)) < 2 or context.shape[1] == 0:
        return -1
    suspects = _suspects(context, reward)
    if _explained(context, reward) >= OUTCOME_R2 and suspects:
        return suspects[0]
    values, counts = np.unique(reward, return_counts=True)
    usual = values[counts.argmax()]
    unusual, base = reward != usual, float((reward != usual).mean())
    for j in suspects:
        column = context[:, j]
        levels, places, sizes = np.unique(column, return_inverse=True, return_counts=True)
        common = places == sizes.argmax()
        n, hits = int((~common).sum()), int(unusual[~common].sum())
        # every uncommon value came with an uncommon reward, and no common one did with more than chance would have it
        if len(levels) > 1 and n >= FEW and hits == n and n * np.log(max(base, 1e-12)) < np.log(1e-9):
            return j
    return -1


def _explained(context: F64, reward: F64) -> float:
    """R² of a ridge regression of the reward on the context, on the half that it has not learnt."""
    half = np.arange(len(reward)) % 2 == 0
    mean, spread = context[half].mean(axis=0), context[half].std(axis=0)
    x = (context - mean) / np.where(spread > 1e-9, spread, np.inf)
    level = float(reward[half].mean())
    weights = np.linalg.solve(x[half].T @ x[half] + np.eye(x.shape[1]), x[half].T @ (reward[half] - level))
    rest, total = reward[~half], float(np.square(reward[~half] - reward[~half].mean()).sum())
    return 1.0 - float(np.square(rest - level - x[~half] @ weights).sum()) / total if total > 0 else 0.0


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
