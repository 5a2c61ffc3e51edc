"""Was every feature known before the draw? What was computed after it (the reward itself, a cart total, the price of
the arm that was shown) depends on the arm drawn, and then no estimate on this log means anything.

    telling    a context that all but says what the reward is, whatever the arm; no pmf is needed
    balance    a context feature that goes with the arm drawn; the drawn arm's propensity is enough
    learning   what the reward model would learn of the draw from a context feature
    pairs      a feature of (request, arm) that is otherwise where the arm was drawn

The last two use the whole pmf where it is known: f(x, A) − Σ_a p(a|x) f(x, a) has mean zero for features f that are
older than the draw. Where only the drawn arm's p is known they use f(x, A)/p − Σ_a f(x, a), whose mean is zero as well.
All hold however rare an arm is (models/ope/mean_zero.py); what a log is too small for is not tested, and is said.
"""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from croupier.features.batch import F64, I64, Bool, Interactions
from croupier.models.ope.mean_zero import drawn, inverse, needed, smallest
from croupier.models.ope.reward_model import RewardModel
from croupier.models.ope.self_tests import knows_whole_pmf
from croupier.models.ope.unchecked import Unchecked

NAME = "features_before_decision"
OUTCOME_R2 = 0.9  # of the reward by the context alone, whatever the arm: no honest context leaves the arm so little
FEW = 30  # rows that a value must have before it can be said to tell the reward
SUSPECTS = 3  # context features tested for a leak: those that say most about the reward
LEAST_ROWS, MOST_ROWS = 100, 20_000
MOST_VALUES = 8_000_000  # rows × candidates that are looked at
BALANCED_ARMS = 5
TESTS = ("telling", "balance", "learning", "pairs")


@dataclass(frozen=True, kw_only=True)
class Tested:
    """`p`: p-value that no feature was computed after the draw; `suspect`: the column most suspected, context columns
    first, then those of pairs, −1 where there is none; `unchecked`: the tests that could not be made."""

    p: float
    suspect: int
    unchecked: tuple[Unchecked, ...] = ()


P = tuple[float | None, int]  # p-value of one column, None where the log is too small for it; and its feature


def tested(log: Interactions) -> Tested:
    """All four tests on at most MOST_ROWS rows. Small p: leave the suspect out, or log it before deciding."""
    log = log[: min(MOST_ROWS, MOST_VALUES // log.batch.mask.shape[1])]
    if why := _nothing_to_test(log):
        return why
    context = log.batch.context.astype(np.float64)
    arm = log.batch.arm[np.arange(len(log)), log.chosen]
    if (told := tells(context, log.reward, arm)) >= 0:
        return Tested(p=0.0, suspect=told)
    suspects = _suspects(context, log.reward)
    each = {"balance": balance(log, suspects), "learning": learning(log, suspects), "pairs": pairs(log)}
    made = {name: found for name, found in each.items() if any(p is not None for p, _ in found)}
    reasons = {name: needed(len(log)) for name, found in each.items() if found and name not in made}
    if context.shape[1] and len(np.unique(arm)) < 2:
        reasons["telling"] = "only one arm was drawn"
    worst = min((_worst(found) for found in made.values()), default=(1.0, -1))
    return Tested(p=min(1.0, max(1, len(made)) * worst[0]), suspect=worst[1], unchecked=_unchecked(reasons))


def _worst(found: list[P]) -> tuple[float, int]:
    """(least p of the columns times their number, its feature)."""
    p, feature = min((p, feature) for p, feature in found if p is not None)
    return smallest([p for p, _ in found]) or p, feature


def _nothing_to_test(log: Interactions) -> Tested | None:
    """What is said of a log on which no test can be made at all."""
    if log.batch.context.shape[1] + log.batch.pair.shape[2] == 0:
        return Tested(p=1.0, suspect=-1)  # no feature is declared: none can have come too late
    if len(log) < LEAST_ROWS:
        why = Unchecked(name=NAME, reason=f"the log has {len(log)} rows, fewer than {LEAST_ROWS}", blocks=True)
    elif np.all(log.reward == log.reward[0]):
        why = Unchecked(name=NAME, reason=f"every reward is {log.reward[0]:g}", blocks=True)
    else:
        return None
    return Tested(p=1.0, suspect=-1, unchecked=(why,))


def _unchecked(reasons: dict[str, str]) -> tuple[Unchecked, ...]:
    """A test of context features blocks if none of the draw was made: then nothing says that they are older than it.
    The same of pairs."""
    blocks = {"balance": {"balance", "learning"} <= set(reasons), "pairs": True}
    return tuple(
        Unchecked(name=f"{NAME}:{test}", reason=reasons[test], blocks=blocks.get(test, False))
        for test in TESTS
        if test in reasons
    )


def balance(log: Interactions, suspects: list[int]) -> list[P]:
    """Returns (1{A ∈ G} / p − |G ∩ offered|) (f − mean f), G an arm drawn often, or the arms at which f is high.

    E[1{A = a} / p | x] = 1 for every x and every arm a that x offers, so f is as frequent among the rows of a, weighted
    by 1/p, as among all that offer it (the covariate balance of Rosenbaum & Rubin 1983). A price of the shown arm, or
    what the user paid, is not. Where no arm was drawn often enough by itself, arms are taken together: those at which f
    is high among every second row are tested on the other rows."""
    drawn_arm = log.batch.arm[np.arange(len(log)), log.chosen]
    often = [log.batch.arm == a for a in np.argsort(-np.bincount(drawn_arm))[:BALANCED_ARMS]]
    odd, found = np.arange(len(log)) % 2 == 1, list[P]()
    for j in suspects:
        f = _centred(log.batch.context[:, j])
        high = _high(log[~odd], f[~odd], drawn_arm[~odd])[log.batch.arm]
        found += [(drawn(log, partial(_balance, log, member, f)).p_value(), j) for member in often]
        found.append((drawn(log[odd], partial(_balance, log[odd], high[odd], f[odd])).p_value(), j))
    return found


def _balance(log: Interactions, member: Bool, f: F64, rows: slice) -> F64:
    weight = np.where(member[rows], inverse(log, rows), 0.0)
    return np.asarray((weight - (weight > 0).sum(axis=1, keepdims=True)) * f[rows, None])


def _high(log: Interactions, f: F64, arm: I64) -> Bool:
    """Returns (A,) the arms at which f is above its mean, among these rows."""
    return np.asarray(np.bincount(arm, f / log.propensity, minlength=len(log.batch.catalogue.ids)) > 0.0)


def learning(log: Interactions, suspects: list[int]) -> list[P]:
    """f(x) q̂(x, ·), q̂ a reward model that saw none of the suspects: what it would learn of the draw from f."""
    if not suspects:
        return []
    whole, blind = knows_whole_pmf(log), _without(log, suspects)
    columns = ((_centred(log.batch.context[:, j])[:, None] * blind, j) for j in suspects)
    return [(drawn(log, partial(_gap, log, f, whole)).p_value(), j) for f, j in columns]


def pairs(log: Interactions) -> list[P]:
    """Every feature of pairs at the arm drawn, beside what the other arms have."""
    width, whole = log.batch.context.shape[1], knows_whole_pmf(log)
    columns = ((log.batch.pair[:, :, k].astype(np.float64), width + k) for k in range(log.batch.pair.shape[2]))
    return [(drawn(log, partial(_gap, log, f, whole)).p_value(), j) for f, j in columns]


def _gap(log: Interactions, f: F64, whole: bool, rows: slice) -> F64:
    """f (n, K), less its mean under the pmf; or f/p, less the sum over candidates."""
    f = np.where(log.batch.mask[rows], f[rows], 0.0)
    if whole:
        return np.asarray(f - (log.pmf[rows] * f).sum(axis=1, keepdims=True))
    return np.asarray(f * inverse(log, rows) - f.sum(axis=1, keepdims=True))


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


def _suspects(context: F64, reward: F64) -> list[int]:
    spread = context.std(axis=0)
    covariance = np.abs((context - context.mean(axis=0)).T @ (reward - reward.mean()))
    score = np.where(spread > 1e-9, covariance / np.where(spread > 1e-9, spread, 1.0), -1.0)
    return [int(j) for j in np.argsort(-score)[:SUSPECTS] if score[j] > 0]


def _centred(column: Any) -> F64:
    """In standard deviations from its mean, at most five."""
    f = column.astype(np.float64)
    return np.asarray(np.clip((f - f.mean()) / max(float(f.std()), 1e-12), -5.0, 5.0))


def _without(log: Interactions, columns: list[int]) -> F64:
    """q̂ (n, K) that never saw these columns, each half from the other: what they may not know of the draw."""
    context = log.batch.context.copy()
    context[:, columns] = 0.0
    blind = replace(log, batch=replace(log.batch, context=context))
    half, predicted = np.arange(len(log)) % 2, np.zeros(log.pmf.shape)
    for k in (0, 1):
        if not np.all(log.reward[half != k] == log.reward[half != k][0]):
            predicted[half == k] = RewardModel.fit(blind[half != k]).predict(blind.batch[half == k])
    return predicted
