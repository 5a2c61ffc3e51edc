"""Columns of a log's context as the tests of leaks take them: suspects, standardised, and tables over candidates."""

from dataclasses import replace
from typing import Any

import numpy as np

from croupier.features.batch import F64, I64, Interactions
from croupier.models.ope.mean_zero import inverse
from croupier.models.ope.reward_model import RewardModel

SUSPECTS = 3  # context features tested for a leak: those that say most about the reward
PRIOR_ROWS = 20.0  # an arm's mean of a feature is shrunk as if so many rows had shown none
MOST_ARMS = 128  # arms told apart one by one; of more, those drawn oftenest, and the others together
MOST_FITTED = 2048  # arms up to which it is fitted how likely each was: a table of rows and arms
LEAST_SHARE = 0.02  # of the candidates' even share: a fitted probability is not smaller


def suspects_of(context: F64, reward: F64) -> list[int]:
    """The columns that go most with the reward, most suspected first."""
    return by_reward(context, reward)[:SUSPECTS]


def by_reward(context: F64, reward: F64) -> list[int]:
    """All columns that vary, by how much they go with the reward."""
    spread = context.std(axis=0)
    covariance = np.abs((context - context.mean(axis=0)).T @ (reward - reward.mean()))
    score = np.where(spread > 1e-9, covariance / np.where(spread > 1e-9, spread, 1.0), -1.0)
    return [int(j) for j in np.argsort(-score) if score[j] > 0]


def standardised(column: Any, reward: F64) -> F64:
    """In standard deviations from its mean, at most five; turned so that it rises with the reward."""
    f = column.astype(np.float64)
    f = np.clip((f - f.mean()) / max(float(f.std()), 1e-12), -5.0, 5.0)
    return np.asarray(f if f @ (reward - reward.mean()) >= 0 else -f)


def candidates(log: Interactions) -> tuple[I64, int]:
    """(n, K) catalogue row of each candidate, and how many rows there are; all inline arms count as one."""
    catalogue = log.batch.catalogue
    return np.minimum(log.batch.arm, catalogue.size), catalogue.size + (catalogue.published is not None)


def drawn_arm(log: Interactions) -> I64:
    """(n,) catalogue row of the arm drawn, one for all inline arms."""
    return np.asarray(candidates(log)[0][np.arange(len(log)), log.chosen])


def told_apart(log: Interactions) -> tuple[I64, int]:
    """(A,) the number of each catalogue row among the arms that are told apart one by one, and how many numbers there
    are; the last one is that of all others, where there are more than MOST_ARMS."""
    size = candidates(log)[1]
    if size <= MOST_ARMS:
        return np.arange(size), size
    often = np.argsort(-np.bincount(drawn_arm(log), minlength=size), kind="stable")[:MOST_ARMS]
    place = np.full(size, MOST_ARMS)
    place[often] = np.arange(MOST_ARMS)
    return place, MOST_ARMS + 1


def arm_columns(log: Interactions) -> F64:
    """(n, c) the arm drawn: a column for each that is told apart, and, where others are not, the arms' features."""
    place, size = told_apart(log)
    each = np.eye(size)[place[drawn_arm(log)]]
    return each if size <= MOST_ARMS else np.hstack([each, log.batch.catalogue.features[log.shown[0]]])


def blind(log: Interactions, columns: list[int]) -> Interactions:
    """The log with these context columns emptied."""
    context = log.batch.context.copy()
    context[:, columns] = 0.0
    return replace(log, batch=replace(log.batch, context=context))


def reward_by_arm(log: Interactions) -> F64:
    """q̂ (n, K) of a log that is blind to the suspects; each half is predicted from the other: a reward model that
    cannot know what a suspect says of the draw."""
    half, predicted = np.arange(len(log)) % 2, np.zeros(log.pmf.shape)
    for k in (0, 1):
        if not np.all(log.reward[half != k] == log.reward[half != k][0]):
            predicted[half == k] = RewardModel.fit(log[half != k]).predict(log.batch[half == k])
    return predicted


def mean_by_arm(log: Interactions, f: F64) -> F64:
    """(n, K) the mean of f where each candidate was drawn, shrunk to that of all; each half from the other."""
    arm, half, (rows, size) = drawn_arm(log), np.arange(len(log)) % 2, candidates(log)
    out = np.zeros(log.pmf.shape)
    for k in (0, 1):
        count = np.bincount(arm[half != k], minlength=size)
        total = np.bincount(arm[half != k], f[half != k], minlength=size)
        out[half == k] = (total / (count + PRIOR_ROWS))[rows[half == k]]
    return out


def likely_pmf(log: Interactions) -> F64:
    """p̂ (n, K), how likely each candidate was, of a log that is blind to the suspects: a ridge regression of the draw
    on the context, each half from the other. It need not be right: it only keeps p̂/p near 1 where p is known of the
    drawn arm alone (stabilised weights, Robins, Hernán & Brumback 2000). Of very many arms, each drawn a few times at
    most, nothing can be fitted: candidates are alike."""
    half, mask, (rows, size) = np.arange(len(log)) % 2, log.batch.mask, candidates(log)
    if size > MOST_FITTED:
        return np.asarray(mask / mask.sum(axis=1, keepdims=True))
    context = log.batch.context.astype(np.float64)
    x = (context - context.mean(axis=0)) / np.maximum(context.std(axis=0), 1e-9)
    x, drawn, least = np.column_stack([np.ones(len(x)), x]), drawn_arm(log), LEAST_SHARE / mask.sum(axis=1)
    out = np.zeros(log.pmf.shape)
    for k in (0, 1):
        seen = x[half != k]
        weight = np.linalg.solve(seen.T @ seen + np.eye(x.shape[1]), seen.T @ np.eye(size)[drawn[half != k]])
        share = np.take_along_axis(x[half == k] @ weight, rows[half == k], axis=1)
        out[half == k] = np.where(mask[half == k], np.maximum(share, least[half == k, None]), 0.0)
    return np.asarray(out / out.sum(axis=1, keepdims=True))


def gap(log: Interactions, h: F64, likely: F64 | None, rows: slice) -> F64:
    """h (n, K), of these rows, less its mean under the pmf; or, with p̂ where the drawn arm's p alone is known,
    p̂ h / p − Σ p̂ h, h first centred under p̂. Its mean over draws is zero for every h that is older than the draw."""
    mask = log.batch.mask[rows]
    h = np.where(mask, h[rows], 0.0)
    if likely is None:
        return np.asarray(h - (log.pmf[rows] * h).sum(axis=1, keepdims=True))
    h = likely[rows] * (h - (likely[rows] * h).sum(axis=1, keepdims=True))
    return np.asarray(h * inverse(log, rows) - h.sum(axis=1, keepdims=True))
