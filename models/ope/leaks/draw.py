"""Features that go with the arm drawn: one that is older than the draw cannot, given the pmf.

    balance    a context feature that is higher where some arms were drawn (covariate balance, Rosenbaum & Rubin 1983)
    others     the same of columns that say little of the reward: what was measured of the arm shown
    learning   the same, arms weighed by what they earn: a column made from the reward goes with the arm as it does
    pairs      a feature of (request, arm) that is otherwise where the arm was drawn

Balance and learning are f(x) (h(x, A) − Σ_a p h(x, a)), h the feature's mean by arm, or a reward model that never saw
the feature, each row's from the other half: so both are expected to be positive, and are tested on that side alone.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np

from croupier.features.batch import F64, Interactions
from croupier.models.ope.leaks.columns import by_reward, gap, mean_by_arm, standardised
from croupier.models.ope.mean_zero import drawn, inverse
from croupier.models.ope.self_tests import knows_whole_pmf

OTHERS_SHARE = 0.2  # of the level of context features, for those that are not suspected
MOST_VALUES = 100_000_000  # rows × candidates × columns that are looked at
PAIRS_SHARE = 0.25  # of the level, where there are features of pairs and of the context


@dataclass(frozen=True, slots=True)
class P:
    """p-value of one column, None where the log is too small for it; its feature; and its share of the level."""

    p: float | None
    feature: int
    share: float


def of_context(log: Interactions, suspects: list[int], blind_reward: F64, likely: F64 | None) -> dict[str, list[P]]:
    """Both tests of each suspect. Half of the level is the first's, who says most about the reward."""
    shares = [0.5, *[0.5 / max(1, len(suspects) - 1)] * len(suspects)] if len(suspects) > 1 else [1.0]
    shares = [share * (1.0 - OTHERS_SHARE) for share in shares]
    found: dict[str, list[P]] = {"balance": [], "learning": []}
    for share, j in zip(shares, suspects, strict=False):
        f = standardised(log.batch.context[:, j], log.reward)
        for name, h in (("balance", mean_by_arm(log, f)), ("learning", blind_reward)):
            p = drawn(log, partial(_goes_with, log, f, h, likely)).p_value(above=True)
            found[name].append(P(p, j, share / 2))
    return found


def others(log: Interactions, suspects: list[int], by_chance: F64 | None) -> list[P]:
    """Balance of the context columns that are no suspects, as many as there is time for, first those that go most with
    the reward. `by_chance` (n, K) is p̂ of a log without context; None where the whole pmf is known."""
    context = log.batch.context.astype(np.float64)
    left = [j for j in by_reward(context, log.reward) if j not in suspects]
    left = left[: max(1, MOST_VALUES // log.batch.mask.size)]
    found = []
    for j in left:
        f = standardised(context[:, j], log.reward)
        p = drawn(log, partial(_goes_with, log, f, mean_by_arm(log, f), by_chance)).p_value(above=True)
        found.append(P(p, j, OTHERS_SHARE / len(left)))
    return found


def _goes_with(log: Interactions, f: F64, h: F64, likely: F64 | None, rows: slice) -> F64:
    return np.asarray(f[rows, None] * gap(log, h, likely, rows))


def pairs(log: Interactions) -> list[P]:
    """Every feature of pairs at the arm drawn, beside what the other arms have."""
    width, count, whole = log.batch.context.shape[1], log.batch.pair.shape[2], knows_whole_pmf(log)
    found = []
    for k in range(count):
        table = partial(_beside, log, log.batch.pair[:, :, k].astype(np.float64), whole)
        found.append(P(drawn(log, table).p_value(), width + k, 1.0 / count))
    return found


def _beside(log: Interactions, f: F64, whole: bool, rows: slice) -> F64:
    """f (n, K), less its mean under the pmf; or f/p, less the sum over candidates: the others' f is known."""
    f = np.where(log.batch.mask[rows], f[rows], 0.0)
    if whole:
        return np.asarray(f - (log.pmf[rows] * f).sum(axis=1, keepdims=True))
    return np.asarray(f * inverse(log, rows) - f.sum(axis=1, keepdims=True))
