"""What a log is like, in a few numbers, by which logs of other apps are found that are like it.

The simple and the statistical features of a classification set (Brazdil et al. 2003, "Ranking learning algorithms"),
told of a bandit's log: how many rows, arms and columns it has, what its rewards are like, and how much its draws say.
"""

from collections.abc import Iterable

import numpy as np

from croupier.features.batch import F64, Interactions
from croupier.models.ope.estimators import effective_sample_size

NAMES = ("rows", "candidates", "arms", "context", "arm", "level", "spread", "values", "ess")
MOST_VALUES = 64  # different rewards that are counted


def data_features(log: Iterable[Interactions]) -> dict[str, float]:
    """Returns by NAMES: log₁₀ of the rows; log₂ of the candidates of a mean row, of the arms that were shown, and of
    the columns of context and of arm, each and 1; where in their range rewards lie in the mean, and their standard
    deviation as a share of it; log₂ of how many different ones there are; the effective sample size of a uniform
    policy as a share of the rows. Raises ValueError where there is no row."""
    rewards, weights, candidates, shown = list[F64](), list[F64](), list[F64](), set[str]()
    widths = (0, 0)
    for chunk in log:
        batch, count = chunk.batch, chunk.batch.mask.sum(axis=1)
        rewards.append(chunk.reward)
        weights.append(1.0 / (count * chunk.propensity))
        candidates.append(count)
        shown |= {batch.catalogue.ids[row] for row in np.unique(chunk.shown[0])}
        widths = batch.context.shape[1], batch.catalogue.features.shape[1] + batch.pair.shape[2]
    if not sum(map(len, rewards)):
        raise ValueError("log: found no row, expected some, to say what it is like")
    reward = np.concatenate(rewards)
    low, width = float(reward.min()), float(np.ptp(reward)) or 1.0
    found = (
        np.log10(len(reward)),
        np.log2(np.concatenate(candidates).mean()),
        np.log2(len(shown)),
        *np.log2(1.0 + np.array(widths)),
        (reward.mean() - low) / width,
        reward.std() / width,
        np.log2(min(len(np.unique(reward)), MOST_VALUES)),
        effective_sample_size(np.concatenate(weights)) / len(reward),
    )
    return dict(zip(NAMES, map(float, found), strict=True))
